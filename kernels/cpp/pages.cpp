#include "pages.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace seqmamba {

void prefer_large_pages(void* data, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    constexpr uintptr_t page = uintptr_t(1) << 21;
    uintptr_t first = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
    uintptr_t last = (reinterpret_cast<uintptr_t>(data) + uintptr_t(bytes)) / page * page;
    // Advice only: that it is not followed is no failure.
    if (data && first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
    (void)data, (void)bytes;
#endif
}

}  // namespace seqmamba
