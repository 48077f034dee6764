// Large memory pages for large results.
#pragma once

#include <cstdint>

namespace seqmamba {

// Asks for large pages behind memory that is about to be written for the first time. Fresh small pages
// cost the system a microsecond each, a third of a long scan; Linux gives large ones on request.
// Nothing happens for less than one large page, or where there are none.
void prefer_large_pages(void* data, int64_t bytes);

}  // namespace seqmamba
