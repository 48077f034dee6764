// Rows of channels between user memory (any dtype) and aligned scratch of the computing type.
#pragma once

#include <cstring>

#include "abi.h"
#include "vec.h"

namespace SEQMAMBA_ISA {

using seqmamba::DType;

SEQMAMBA_INLINE float from_bits(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}
SEQMAMBA_INLINE uint32_t to_bits(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return bits;
}

SEQMAMBA_INLINE float from_bf16(uint16_t h) { return from_bits(uint32_t(h) << 16); }

SEQMAMBA_INLINE uint16_t to_bf16(float x) {
    uint32_t bits = to_bits(x);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;  // to nearest, ties to even
    return uint16_t(x == x ? rounded : (bits >> 16) | 0x40);
}

// Integer arithmetic throughout: workers flush subnormals, half precision must keep its own.
SEQMAMBA_INLINE float from_f16(uint16_t h) {
    uint32_t sign = uint32_t(h & 0x8000) << 16, rest = h & 0x7fff;
    uint32_t normal = (rest << 13) + ((127 - 15) << 23);
    normal += rest >= 0x7c00 ? (255 - 31 - (127 - 15)) << 23 : 0;  // infinity and NaN
    float small = float(int32_t(rest)) * 5.9604644775390625e-8f;  // 2^-24
    return from_bits(sign | (rest < 0x400 ? to_bits(small) : normal));
}

SEQMAMBA_INLINE uint16_t to_f16(float x) {
    uint32_t bits = to_bits(x), sign = (bits >> 16) & 0x8000, rest = bits & 0x7fffffff;
    uint32_t normal = (rest + 0xfff + ((rest >> 13) & 1) - ((127 - 15) << 23)) >> 13;
    // Below 2^-14 adding 0.5 puts the half-precision unit at the last bit of the sum.
    uint32_t small = to_bits(from_bits(rest) + 0.5f) - 0x3f000000;
    uint32_t h = rest < 0x38800000 ? small : normal;
    h = rest >= 0x477ff000 ? 0x7c00 : h;                    // rounds to infinity
    h = rest > 0x7f800000 ? 0x7e00 | (rest >> 13 & 0x1ff) : h;  // NaN
    return uint16_t(sign | h);
}

constexpr int64_t TILE = 64;  // channels of a tile: 256 bytes of a float32 row

template <class T>
SEQMAMBA_INLINE void copy_row(const void* from, int64_t count, void* to) {
    if (count == TILE)  // a constant size becomes a few vector moves
        std::memcpy(to, from, TILE * sizeof(T));
    else
        std::memcpy(to, from, size_t(count) * sizeof(T));
}

// Copies `count` values to `to` and zeroes the rest of the last vector.
template <class T>
SEQMAMBA_INLINE void load_row(DType dtype, const char* from, int64_t count, T* to) {
    const auto* half = reinterpret_cast<const uint16_t*>(from);
    switch (dtype) {
        case DType::bf16:
            for (int64_t i = 0; i < count; ++i) to[i] = from_bf16(half[i]);
            break;
        case DType::f16:
            for (int64_t i = 0; i < count; ++i) to[i] = from_f16(half[i]);
            break;
        default:
            copy_row<T>(from, count, to);
    }
    for (int64_t i = count; i % LANES<T> != 0; ++i) to[i] = 0;
}

template <class T>
SEQMAMBA_INLINE void store_row(DType dtype, const T* from, int64_t count, char* to) {
    auto* half = reinterpret_cast<uint16_t*>(to);
    switch (dtype) {
        case DType::bf16:
            for (int64_t i = 0; i < count; ++i) half[i] = to_bf16(float(from[i]));
            break;
        case DType::f16:
            for (int64_t i = 0; i < count; ++i) half[i] = to_f16(float(from[i]));
            break;
        default:
            copy_row<T>(from, count, to);
    }
}

inline int64_t size_of(DType dtype) {
    return dtype == DType::f64 ? 8 : dtype == DType::f32 ? 4 : 2;
}

}  // namespace SEQMAMBA_ISA
