/* Preloaded under a process: counts what it writes below a folder, and lets the Nth of these fail.
 *
 * Every way to the disk goes through libc: Python's files, Optuna's journal, SQLite's database.
 * `faults_arm` sets the folder, N and the fault; `faults_count` tells how many there were.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* faults/inject.py names them. */
enum fault { NONE, FULL, BROKEN, TORN, DIES_BEFORE, DIES_AFTER };

static char folder[PATH_MAX];
static size_t folder_length;
static long count, at;
static enum fault fault;
static int trace = -1;
static char shadow[PATH_MAX - 32];

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* A file that is opened for writing alone can't be kept: those are read through /proc. */
void faults_shadow(const char *path) { snprintf(shadow, sizeof shadow, "%s", path); }

void faults_arm(const char *below, long nth, int what, int log) {
    snprintf(folder, sizeof folder, "%s/", below);
    folder_length = strlen(folder);
    count = 0;
    at = nth;
    fault = what;
    trace = log;
}

long faults_count(void) { return count; }

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

static int is_below(int base, const char *path) {
    char whole[PATH_MAX], start[PATH_MAX], link[64];
    if (!folder_length || !path) return 0;
    if (path[0] == '/') return !strncmp(path, folder, folder_length);
    if (base == AT_FDCWD) {
        if (!getcwd(start, sizeof start)) return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", base);
        ssize_t got = readlink(link, start, sizeof start - 1);
        if (got < 0) return 0;
        start[got] = 0;
    }
    if (strlen(start) + strlen(path) + 2 > sizeof whole) return 0;
    strcat(strcat(strcpy(whole, start), "/"), path);
    return !strncmp(whole, folder, folder_length);
}

static char path_open[PATH_MAX];

static int is_open_below(int descriptor) {
    char link[64], *path = path_open;
    if (!folder_length) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t got = readlink(link, path, sizeof path_open - 1);
    if (got < 0) return 0;
    path[got] = 0;
    return !strncmp(path, folder, folder_length - 1);
}

static void tell(const char *kind, const char *path, const char *other, long inode) {
    if (trace < 0) return;
    static char line[3 * PATH_MAX];
    int length = snprintf(line, sizeof line, "%s\t%s\t%s\t%ld\n", kind, path, other, inode);
    REAL(write);
    if (real(trace, line, length) < 0) abort();
}

/* Keeps what is on the disk for sure: the content of a file when it is synced, by its number. */
static void keep(int descriptor) {
    struct stat about;
    char path[PATH_MAX], part[1 << 16];
    if (!shadow[0] || fstat(descriptor, &about) || !S_ISREG(about.st_mode)) return;
    snprintf(path, sizeof path, "%s/%ld", shadow, (long)about.st_ino);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    int original = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY, 0);
    int copy = syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    for (off_t place = 0; place < about.st_size;) {
        ssize_t got = pread(original, part, sizeof part, place);
        if (got <= 0) break;
        if (syscall(SYS_write, copy, part, got) != got) abort();
        place += got;
    }
    syscall(SYS_close, copy);
    syscall(SYS_close, original);
}

static long inode_of(int base, const char *path) {
    struct stat about;
    return fstatat(base, path, &about, 0) ? 0 : (long)about.st_ino;
}

/* What is cut to nothing may be nothing after a loss of power. */
static void forget(long inode) {
    char path[PATH_MAX];
    if (!shadow[0] || !inode) return;
    snprintf(path, sizeof path, "%s/%ld", shadow, inode);
    syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

/* Whether this one is to fail; the kinds of a full disk go on failing. */
static int strikes(void) {
    count++;
    if (!at || (fault == FULL ? count < at : count != at)) return 0;
    if (fault == DIES_BEFORE) die();
    return fault != DIES_AFTER;
}

static int takes_room(const char *kind) { return strcmp(kind, "fsync") && strcmp(kind, "remove"); }

/* The error of a strike; none where a full disk doesn't hinder. */
static int failure(const char *kind) {
    if (fault == FULL) return takes_room(kind) ? ENOSPC : 0;
    return fault == BROKEN ? EIO : 0;
}

static void after(void) { if (at && fault == DIES_AFTER && count == at) die(); }

#define GUARD(below, kind, path, other, inode) \
    int watched = (below); \
    if (watched) tell(kind, path, other, inode); \
    if (watched && strikes() && failure(kind)) { errno = failure(kind); return -1; }
#define DONE if (watched) { int kept = errno; after(); errno = kept; }

#define WRITE(name, parameters, arguments, torn) \
    ssize_t name parameters { \
        REAL(name); \
        int watched = is_open_below(descriptor); \
        if (watched) tell("write", path_open, "", 0); \
        if (watched && strikes()) { \
            if (fault == TORN) { size /= 2; if (size) torn; die(); } \
            if (failure("write")) { errno = failure("write"); return -1; } \
        } \
        ssize_t result = real arguments; \
        DONE \
        return result; \
    }

WRITE(write, (int descriptor, const void *data, size_t size), (descriptor, data, size),
      (void)!real(descriptor, data, size))
WRITE(pwrite, (int descriptor, const void *data, size_t size, off_t place),
      (descriptor, data, size, place), (void)!real(descriptor, data, size, place))
WRITE(pwrite64, (int descriptor, const void *data, size_t size, off64_t place),
      (descriptor, data, size, place), (void)!real(descriptor, data, size, place))
WRITE(sendfile, (int descriptor, int from, off_t *place, size_t size),
      (descriptor, from, place, size), (void)!real(descriptor, from, place, size))
WRITE(sendfile64, (int descriptor, int from, off64_t *place, size_t size),
      (descriptor, from, place, size), (void)!real(descriptor, from, place, size))

#define CALL(name, parameters, arguments, below, kind, path, other, inode, then) \
    int name parameters { \
        REAL(name); \
        GUARD(below, kind, path, other, inode) \
        int result = real arguments; \
        if (watched && !result) then; \
        DONE \
        return result; \
    }

#define SYNC(name) \
    CALL(name, (int descriptor), (descriptor), is_open_below(descriptor), "fsync", path_open, "", 0, \
         keep(descriptor))
SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(name, size_type) \
    CALL(name, (int descriptor, size_type size), (descriptor, size), is_open_below(descriptor), \
         "truncate", path_open, "", 0, (void)0)
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

CALL(rename, (const char *old, const char *new), (old, new), is_below(AT_FDCWD, new), "rename", new,
     old, inode_of(AT_FDCWD, new), (void)0)
CALL(renameat, (int from, const char *old, int to, const char *new), (from, old, to, new),
     is_below(to, new), "rename", new, old, inode_of(to, new), (void)0)
CALL(unlink, (const char *path), (path), is_below(AT_FDCWD, path), "remove", path, "", 0, (void)0)
CALL(unlinkat, (int base, const char *path, int flags), (base, path, flags), is_below(base, path),
     "remove", path, "", 0, (void)0)
CALL(mkdir, (const char *path, mode_t mode), (path, mode), is_below(AT_FDCWD, path), "create", path,
     "folder", 0, (void)0)
CALL(mkdirat, (int base, const char *path, mode_t mode), (base, path, mode), is_below(base, path),
     "create", path, "folder", 0, (void)0)

#define MODE mode_t mode = 0; \
    if (flags & O_CREAT) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        MODE REAL(name); \
        GUARD((flags & O_CREAT) && is_below(AT_FDCWD, path), "create", path, "", \
              inode_of(AT_FDCWD, path)) \
        if (watched && (flags & O_TRUNC)) forget(inode_of(AT_FDCWD, path)); \
        int result = real(path, flags, mode); \
        DONE \
        return result; \
    }
#define OPEN_AT(name) \
    int name(int base, const char *path, int flags, ...) { \
        MODE REAL(name); \
        GUARD((flags & O_CREAT) && is_below(base, path), "create", path, "", \
              inode_of(base, path)) \
        if (watched && (flags & O_TRUNC)) forget(inode_of(base, path)); \
        int result = real(base, path, flags, mode); \
        DONE \
        return result; \
    }

OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)
