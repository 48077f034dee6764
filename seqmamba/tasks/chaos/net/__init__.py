"""The network of PhyxMamba: tokens of delayed patches, a subtractive stack, a patch decoder."""
