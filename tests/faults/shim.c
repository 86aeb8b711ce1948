/* Loaded before the C library: lets a chosen system call on files below a folder fail, or end the
 * process there, and writes down the order of the calls. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FAIL = 0, FAIL_FROM = 1, KILL = 2, SPOIL = 3 };

static char folder[4096];
static char only[64];
static int log_file = -1, action, error_number;
static long chosen;
static atomic_long count;
static atomic_int armed, fired;

/* Count from now on the calls below `below` (all kinds, or the one named); act on number `number`. */
void shim_arm(const char *below, const char *kind, long number, int act, int error, int log) {
  snprintf(folder, sizeof folder, "%s", below);
  snprintf(only, sizeof only, "%s", kind);
  chosen = number;
  action = act;
  error_number = error;
  log_file = log;
  count = 0;
  fired = 0;
  armed = 1;
}
void shim_disarm(void) { armed = 0; }
long shim_count(void) { return count; }
int shim_fired(void) { return fired; }

static int below_folder(const char *path) {
  size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static void place_of(int descriptor, char *out, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  long length = syscall(SYS_readlink, link, out, size - 1);
  out[length > 0 ? length : 0] = 0;
}

static void path_of(int base, const char *name, char *out, size_t size) {
  if (name[0] == '/') {
    snprintf(out, size, "%s", name);
    return;
  }
  char start[4096] = "";
  if (base == AT_FDCWD) {
    if (syscall(SYS_getcwd, start, sizeof start) < 0) start[0] = 0;
  } else {
    place_of(base, start, sizeof start);
  }
  snprintf(out, size, "%.4000s/%s", start, name);
}

/* Whether this call is to go wrong: 0 no, otherwise the action + 1. */
static int turn(const char *kind, const char *path) {
  if (!armed || !below_folder(path) || (only[0] && strcmp(only, kind) != 0)) return 0;
  long number = ++count;
  if (log_file >= 0) {
    char line[5000];
    int length = snprintf(line, sizeof line, "%s %s\n", kind, path + strlen(folder));
    syscall(SYS_write, log_file, line, length);
  }
  if (action == FAIL_FROM ? number < chosen : number != chosen) return 0;
  if (chosen < 1) return 0;
  fired = 1;
  if (action == KILL) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
  errno = error_number;
  return action + 1;
}

static int turn_on(const char *kind, int descriptor) {
  if (!armed) return 0;
  char path[4096];
  place_of(descriptor, path, sizeof path);
  return turn(kind, path);
}

static int turn_at(const char *kind, int base, const char *name) {
  if (!armed) return 0;
  char path[8192];
  path_of(base, name, path, sizeof path);
  return turn(kind, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPENING(symbol)                                                     \
  int symbol(const char *path, int flags, ...) {                            \
    va_list rest;                                                           \
    va_start(rest, flags);                                                  \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                           \
    if (turn_at("open", AT_FDCWD, path)) return -1;                         \
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);           \
  }
OPENING(open)
OPENING(open64)

#define OPENING_AT(symbol)                                                  \
  int symbol(int base, const char *path, int flags, ...) {                  \
    va_list rest;                                                           \
    va_start(rest, flags);                                                  \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                           \
    if (turn_at("open", base, path)) return -1;                             \
    return (int)syscall(SYS_openat, base, path, flags, mode);               \
  }
OPENING_AT(openat)
OPENING_AT(openat64)

ssize_t write(int descriptor, const void *data, size_t size) {
  int what = turn_on("write", descriptor);
  if (what == SPOIL + 1 && size) { /* the disk takes it, and keeps something else */
    char spoilt[size];
    memcpy(spoilt, data, size);
    spoilt[size / 2] ^= 1;
    return syscall(SYS_write, descriptor, spoilt, size);
  }
  if (what) {
    if (size > 1) syscall(SYS_write, descriptor, data, size / 2); /* a part got through */
    errno = error_number;
    return -1;
  }
  return syscall(SYS_write, descriptor, data, size);
}

int fsync(int descriptor) { return turn_on("fsync", descriptor) ? -1 : (int)syscall(SYS_fsync, descriptor); }
int fdatasync(int descriptor) {
  return turn_on("fsync", descriptor) ? -1 : (int)syscall(SYS_fdatasync, descriptor);
}
int ftruncate(int descriptor, off_t size) {
  return turn_on("ftruncate", descriptor) ? -1 : (int)syscall(SYS_ftruncate, descriptor, size);
}
int ftruncate64(int descriptor, off64_t size) {
  return turn_on("ftruncate", descriptor) ? -1 : (int)syscall(SYS_ftruncate, descriptor, size);
}
int close(int descriptor) {
  int what = turn_on("close", descriptor);
  int result = (int)syscall(SYS_close, descriptor);
  if (what) errno = error_number;
  return what ? -1 : result;
}
int rename(const char *from, const char *to) {
  return turn_at("rename", AT_FDCWD, to) ? -1 : REAL(rename)(from, to);
}
int renameat(int base, const char *from, int other, const char *to) {
  return turn_at("rename", other, to) ? -1 : REAL(renameat)(base, from, other, to);
}
int mkdir(const char *path, mode_t mode) {
  return turn_at("mkdir", AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode);
}
int unlink(const char *path) {
  return turn_at("unlink", AT_FDCWD, path) ? -1 : REAL(unlink)(path);
}
int unlinkat(int base, const char *path, int flags) {
  return turn_at("unlink", base, path) ? -1 : REAL(unlinkat)(base, path, flags);
}
int rmdir(const char *path) {
  return turn_at("unlink", AT_FDCWD, path) ? -1 : REAL(rmdir)(path);
}
ssize_t read(int descriptor, void *data, size_t size) {
  return turn_on("read", descriptor) ? -1 : syscall(SYS_read, descriptor, data, size);
}
int chmod(const char *path, mode_t mode) {
  return turn_at("chmod", AT_FDCWD, path) ? -1 : REAL(chmod)(path, mode);
}
