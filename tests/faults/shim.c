/* Loaded before libc, this records file calls below one folder in order, and lets those below another one in it fail.

   FAULTS_UNDER    the folder that is watched
   FAULTS_IN       the folder in it where calls may fail
   FAULTS_CONTROL  a file with a `struct control`, which the test changes while the process runs
   FAULTS_JOURNAL  a file that each change below the folder is appended to: a `struct entry`, path, second path or data */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, OPEN = 4, NAME = 8, TRUNCATE = 16 };

struct control {
    int32_t calls;  /* which calls fail, a sum of the above */
    int32_t error;  /* with which errno */
    int32_t torn;   /* a write that fails writes its first half */
    int32_t spare;
    int64_t after;  /* so many of these calls succeed first */
    int64_t failed; /* so many have failed */
};

struct entry {
    char call; /* o: created, w: written, s: synced, r: renamed, u: unlinked, t: truncated */
    char pad[3];
    uint32_t path;
    uint64_t offset;
    uint64_t size; /* of the data, or of the second path; where truncated, the length */
} __attribute__((packed));

static struct control *control;
static const char *under, *in;
static int journal = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void start(void) {
    under = getenv("FAULTS_UNDER");
    in = getenv("FAULTS_IN");
    const char *name = getenv("FAULTS_CONTROL");
    int fd = name ? syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd >= 0) {
        void *found = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        control = found == MAP_FAILED ? NULL : found;
    }
    if ((name = getenv("FAULTS_JOURNAL")))
        journal = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

static int is_below(const char *path, const char *folder) {
    size_t size = folder ? strlen(folder) : 0;
    return size && strncmp(path, folder, size) == 0 && (path[size] == '/' || !path[size]);
}

static int is_under(const char *path) { return is_below(path, under); }

/* The path of an open file, if it lies in the folder. */
static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    return is_under(path);
}

static int fails(int call, const char *path) {
    if (!control || !(control->calls & call) || !is_below(path, in))
        return 0;
    if (__atomic_fetch_sub(&control->after, 1, __ATOMIC_SEQ_CST) > 0)
        return 0;
    __atomic_fetch_add(&control->failed, 1, __ATOMIC_SEQ_CST);
    errno = control->error;
    return 1;
}

static void put(const void *data, size_t size) {
    for (const char *at = data; size;) {
        ssize_t done = syscall(SYS_write, journal, at, size);
        if (done < 0)
            abort();
        at += done;
        size -= done;
    }
}

static void note(char call, const char *path, uint64_t offset, const void *data, uint64_t size) {
    if (journal < 0)
        return;
    int before = errno;
    struct entry entry = {call, {0}, strlen(path), offset, size};
    put(&entry, sizeof entry);
    put(path, entry.path);
    if (data)
        put(data, size);
    errno = before;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WITH_LOCK(statement) do { pthread_mutex_lock(&lock); statement; pthread_mutex_unlock(&lock); } while (0)

static ssize_t do_write(int fd, const void *data, size_t size, off_t offset, int positioned) {
    char path[PATH_MAX];
    ssize_t done;
    if (!path_of(fd, path))
        return positioned ? syscall(SYS_pwrite64, fd, data, size, offset) : syscall(SYS_write, fd, data, size);
    pthread_mutex_lock(&lock);
    if (!positioned)
        offset = fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    if (fails(WRITE, path)) {
        int error = errno;
        done = -1;
        if (control->torn && syscall(SYS_pwrite64, fd, data, size / 2, offset) > 0)
            note('w', path, offset, data, size / 2);
        errno = error;
    } else {
        done = positioned ? syscall(SYS_pwrite64, fd, data, size, offset) : syscall(SYS_write, fd, data, size);
        if (done > 0)
            note('w', path, offset, data, done);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *data, size_t size) { return do_write(fd, data, size, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return do_write(fd, data, size, offset, 1); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) { return do_write(fd, data, size, offset, 1); }

static int do_sync(int fd, long number) {
    char path[PATH_MAX];
    int done;
    if (!path_of(fd, path))
        return syscall(number, fd);
    WITH_LOCK(done = fails(SYNC, path) ? -1 : syscall(number, fd); if (!done) note('s', path, 0, NULL, 0));
    return done;
}

int fsync(int fd) { return do_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return do_sync(fd, SYS_fdatasync); }

static int do_open(int folder, const char *path, int flags, mode_t mode) {
    int changes = flags & (O_CREAT | O_WRONLY | O_RDWR | O_TRUNC), fd;
    if (!changes || !is_under(path))
        return syscall(SYS_openat, folder, path, flags, mode);
    pthread_mutex_lock(&lock);
    int is_new = access(path, F_OK) != 0;
    fd = fails(OPEN, path) ? -1 : syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0 && is_new && (flags & O_TMPFILE) != O_TMPFILE)
        note('o', path, 0, NULL, 0);
    if (fd >= 0 && !is_new && flags & O_TRUNC)
        note('t', path, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE(flags, mode) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list all; va_start(all, flags); mode = va_arg(all, mode_t); va_end(all); }

int open(const char *path, int flags, ...) { MODE(flags, mode) return do_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, mode) return do_open(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags, mode) return do_open(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags, mode) return do_open(folder, path, flags, mode); }

int rename(const char *from, const char *to) {
    int done;
    if (!is_under(to))
        return REAL(rename)(from, to);
    WITH_LOCK(done = fails(NAME, to) ? -1 : REAL(rename)(from, to); if (!done) note('r', from, 0, to, strlen(to)));
    return done;
}

int unlink(const char *path) {
    int done;
    if (!is_under(path))
        return REAL(unlink)(path);
    WITH_LOCK(done = fails(NAME, path) ? -1 : REAL(unlink)(path); if (!done) note('u', path, 0, NULL, 0));
    return done;
}

static int do_truncate(int fd, off_t size) {
    char path[PATH_MAX];
    int done;
    if (!path_of(fd, path))
        return syscall(SYS_ftruncate, fd, size);
    WITH_LOCK(done = fails(TRUNCATE, path) ? -1 : syscall(SYS_ftruncate, fd, size); if (!done) note('t', path, 0, NULL, size));
    return done;
}

int ftruncate(int fd, off_t size) { return do_truncate(fd, size); }
int ftruncate64(int fd, off_t size) { return do_truncate(fd, size); }

int fallocate(int fd, int mode, off_t offset, off_t size) {
    char path[PATH_MAX];
    if (path_of(fd, path) && fails(WRITE, path))
        return -1;
    return syscall(SYS_fallocate, fd, mode, offset, size);
}
