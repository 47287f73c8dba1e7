/*
 * Makes a server's calls on its database's files fail, and keeps a log of what it wrote and synced.
 *
 * Loaded by LD_PRELOAD. SYNC_HEALTH_TEST_FAULTS names a file of lines "CALL SUFFIX ERROR" (write -wal EIO): while it
 * exists, such calls on files whose path ends so fail. CALL is write, read, sync, truncate, or open (for writing); ERROR is
 * EIO, ENOSPC, EROFS, SHORT: a write stops half way, and the next one finds no space, or HOLD: the call does not return
 * before the line is gone. Each call that was made to fail or wait is a byte in the file of the same name with ".made".
 *
 * SYNC_HEALTH_TEST_WRITES names the log: see power_cut.rs, which reads it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* 'd': a database, 'w': its write-ahead log, 0: anything else. */
static char file_kind(const char *path) {
  return ends_with(path, ".db") ? 'd' : ends_with(path, "-wal") ? 'w' : 0;
}

static char kind_of(int fd, char *path) {
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length <= 0 || path[0] != '/') return 0;
  path[length] = 0;
  return file_kind(path);
}

static void count(const char *faults) {
  char made[PATH_MAX];
  snprintf(made, sizeof made, "%s.made", faults);
  int fd = syscall(SYS_openat, AT_FDCWD, made, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  syscall(SYS_write, fd, ".", (size_t)1);
  syscall(SYS_close, fd);
}

/* What the file of faults says of a call: 0 for nothing, HELD, -1 for a write that stops half way, or its error. */
enum { HELD = -2 };
static int said(const char *call, const char *path, int is_new) {
  const char *faults = getenv("SYNC_HEALTH_TEST_FAULTS");
  if (!faults) return 0;
  int fd = syscall(SYS_openat, AT_FDCWD, faults, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return 0;
  char text[512];
  ssize_t length = syscall(SYS_read, fd, text, sizeof text - 1);
  syscall(SYS_close, fd);
  text[length > 0 ? length : 0] = 0;
  char which[16], suffix[64], error[16], *rest, *line = strtok_r(text, "\n", &rest);
  for (; line; line = strtok_r(NULL, "\n", &rest)) {
    if (sscanf(line, "%15s %63s %15s", which, suffix, error) != 3) continue;
    if (strcmp(which, call) || !ends_with(path, suffix)) continue;
    if (is_new) count(faults);
    if (strcmp(error, "HOLD") == 0) return HELD;
    if (strcmp(error, "SHORT") == 0) return -1;
    return strcmp(error, "ENOSPC") == 0 ? ENOSPC : strcmp(error, "EROFS") == 0 ? EROFS : EIO;
  }
  return 0;
}

/* The error that a call shall end with, once nothing holds it. */
static int fault(const char *call, const char *path) {
  int error = said(call, path, 1);
  while (error == HELD) {
    usleep(1000);
    error = said(call, path, 0);
  }
  return error;
}

struct entry {
  char what; /* W: written, B: a sync begins, E: it has ended, T: truncated, U: removed */
  char kind;
  char unused[6];
  uint64_t number; /* an offset; of a sync its number; a length */
  uint64_t length;
};

static void tell(char what, char kind, uint64_t number, const void *bytes, size_t length) {
  static int log = -2;
  if (log == -2) {
    const char *path = getenv("SYNC_HEALTH_TEST_WRITES");
    log = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  }
  if (log < 0) return;
  struct entry entry = {what, kind, {0}, number, length};
  struct iovec parts[2] = {{&entry, sizeof entry}, {(void *)bytes, length}};
  syscall(SYS_writev, log, parts, 2);
}

static int opened(const char *path, int flags, mode_t mode) {
  int error = (flags & O_ACCMODE) == O_RDWR && file_kind(path) ? fault("open", path) : 0;
  if (error > 0) {
    errno = error;
    return -1;
  }
  return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static mode_t mode_of(int flags, va_list arguments) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0; }

int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return opened(path, flags | O_LARGEFILE, mode);
}

static ssize_t written(int fd, const void *bytes, size_t length, off64_t offset, int moves) {
  char path[PATH_MAX];
  char kind = kind_of(fd, path);
  if (kind) {
    static int halves;
    int error = fault("write", path);
    if (error > 0 || (error < 0 && (__sync_fetch_and_add(&halves, 1) & 1 || length < 2))) {
      errno = error > 0 ? error : ENOSPC;
      return -1;
    }
    if (error < 0) length /= 2;
    if (moves) offset = syscall(SYS_lseek, fd, (off64_t)0, SEEK_CUR);
  }
  ssize_t done = moves ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, offset);
  if (kind && done > 0) tell('W', kind, offset, bytes, done);
  return done;
}

ssize_t write(int fd, const void *bytes, size_t length) { return written(fd, bytes, length, 0, 1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return written(fd, bytes, length, at, 0); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return written(fd, bytes, length, at, 0); }

static int fails(const char *call, int fd, char *kind) {
  char path[PATH_MAX];
  *kind = kind_of(fd, path);
  int error = *kind ? fault(call, path) : 0;
  if (error) errno = error < 0 ? EIO : error;
  return error != 0;
}

ssize_t read(int fd, void *bytes, size_t length) {
  char kind;
  return fails("read", fd, &kind) ? -1 : syscall(SYS_read, fd, bytes, length);
}
static ssize_t read_at(int fd, void *bytes, size_t length, off64_t at) {
  char kind;
  return fails("read", fd, &kind) ? -1 : syscall(SYS_pread64, fd, bytes, length, at);
}
ssize_t pread(int fd, void *bytes, size_t length, off_t at) { return read_at(fd, bytes, length, at); }
ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) { return read_at(fd, bytes, length, at); }

static int synced(long call, int fd) {
  static uint64_t syncs;
  char kind;
  if (fails("sync", fd, &kind)) return -1;
  uint64_t number = __sync_add_and_fetch(&syncs, 1);
  if (kind) tell('B', kind, number, NULL, 0);
  int done = syscall(call, fd);
  if (kind && done == 0) tell('E', kind, number, NULL, 0);
  return done;
}

int fsync(int fd) { return synced(SYS_fsync, fd); }
int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }

static int truncated(int fd, off64_t length) {
  char kind;
  if (fails("truncate", fd, &kind)) return -1;
  int done = syscall(SYS_ftruncate, fd, length);
  if (kind && done == 0) tell('T', kind, length, NULL, 0);
  return done;
}

int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncated(fd, length); }

int unlink(const char *path) {
  int done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  if (done == 0 && file_kind(path)) tell('U', file_kind(path), 0, NULL, 0);
  return done;
}
