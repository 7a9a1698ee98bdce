/* What the static C++ library of a newer system takes from its C library and glibc 2.28 does not have. */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HIDDEN __attribute__((visibility("hidden")))

/* "Not known to be single-threaded": reference counts are changed atomically. */
HIDDEN char __libc_single_threaded = 0;

extern ssize_t getrandom(void* bytes, size_t count, unsigned flags);
extern void abort(void);

HIDDEN uint32_t arc4random(void) {
  uint32_t value;
  if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value) abort();
  return value;
}

/* Calls by name came with 2.33; before, headers called these with the version of the structure. */
#if defined(__x86_64__)
#define STAT_VERSION 1
#else
#define STAT_VERSION 0
#endif
extern int __xstat(int version, const char* path, void* result);
extern int __lxstat(int version, const char* path, void* result);
extern int __fxstat(int version, int file, void* result);

HIDDEN int stat(const char* path, void* result) { return __xstat(STAT_VERSION, path, result); }
HIDDEN int lstat(const char* path, void* result) { return __lxstat(STAT_VERSION, path, result); }
HIDDEN int fstat(int file, void* result) { return __fxstat(STAT_VERSION, file, result); }

/* The same with 64-bit offsets, which all offsets of these systems are. */
HIDDEN int stat64(const char* path, void* result) { return stat(path, result); }
HIDDEN int lstat64(const char* path, void* result) { return lstat(path, result); }
HIDDEN int fstat64(int file, void* result) { return fstat(file, result); }
