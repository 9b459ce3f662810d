/* A disk that forgets what was not synced: preloaded into a process, it keeps an undo journal.
 *
 * Before each change to a file below $LAMBENT_UNSYNCED_DIR the old bytes are appended to a journal of that inode in
 * $LAMBENT_UNDO_DIR; fsync and fdatasync of the file discard the journal. Creations, renames and removals of names are
 * journalled for their directory, and discarded by fsync of that directory. After a kill, power_loss.py applies the
 * journals that are left, newest first: the state after a power cut that kept nothing but what was synced.
 *
 * Not modelled: writes through mmap (SQLite's -shm, which is thrown away instead), hard and symbolic links, removed
 * directories, O_SYNC (taken as unsynced), io_uring, stdio streams (libc calls itself inside, unseen), and two processes
 * writing the same range at the same moment. 64-bit Linux.
 *
 * All calls go straight to the kernel by syscall(2), so that the shim never meets itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 4096

struct record { /* followed by `kept` old bytes */
    uint64_t offset, kept, old_size;
};

struct counters {
    uint64_t writes, syncs, names, directory_syncs;
};

static char data_dir[PATH_BYTES], undo_dir[PATH_BYTES];
static size_t data_dir_bytes;
static struct counters *counters;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void fresh_lock(void) { pthread_mutex_init(&lock, NULL); }

static long raw_open(const char *path, int flags) { return syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600); }
static void raw_unlink(const char *path) { syscall(SYS_unlinkat, AT_FDCWD, path, 0); }

__attribute__((constructor)) static void start(void) {
    const char *data = getenv("LAMBENT_UNSYNCED_DIR"), *undo = getenv("LAMBENT_UNDO_DIR");
    if (!data || !undo) return;
    char path[PATH_BYTES + 16];
    snprintf(undo_dir, sizeof undo_dir, "%s", undo);
    snprintf(path, sizeof path, "%s/counters", undo);
    int fd = (int)raw_open(path, O_RDWR | O_CREAT);
    if (fd < 0 || syscall(SYS_ftruncate, fd, sizeof *counters)) {
        static const char message[] = "unsynced: cannot write to the undo directory\n";
        syscall(SYS_write, 2, message, sizeof message - 1);
        _exit(97);
    }
    counters = mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (counters == MAP_FAILED) _exit(97);
    pthread_atfork(NULL, NULL, fresh_lock);
    snprintf(data_dir, sizeof data_dir, "%s", data); /* last: from here on calls are journalled */
    data_dir_bytes = strlen(data_dir);
}

static int below(const char *path) {
    size_t size = strlen(path);
    if (!data_dir_bytes || strncmp(path, data_dir, data_dir_bytes)) return 0;
    if (path[data_dir_bytes] && path[data_dir_bytes] != '/') return 0;
    return !(size > 4 && !strcmp(path + size - 4, "-shm"));
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_BYTES - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return 1;
}

/* `name` relative to `dirfd`, made absolute; the last component is left alone. */
static int absolute(int dirfd, const char *name, char *path) {
    char base[PATH_BYTES];
    if (name[0] == '/') return snprintf(path, PATH_BYTES, "%s", name) < PATH_BYTES;
    if (dirfd == AT_FDCWD) {
        if (syscall(SYS_getcwd, base, sizeof base) < 0) return 0;
    } else if (!path_of(dirfd, base)) return 0;
    return snprintf(path, PATH_BYTES, "%s/%s", base, name) < PATH_BYTES;
}

static int watched(int fd, struct stat *status) {
    char path[PATH_BYTES];
    return data_dir_bytes && !fstat(fd, status) && (S_ISREG(status->st_mode) || S_ISDIR(status->st_mode)) &&
           path_of(fd, path) && below(path);
}

static uint64_t sequence(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void journal_path(char *path, const struct stat *status, const char *kind) {
    snprintf(path, PATH_BYTES + 64, "%s/%lu-%lu.%s", undo_dir, (unsigned long)status->st_dev,
             (unsigned long)status->st_ino, kind);
}

static void append(const char *path, const struct iovec *parts, int count) {
    long fd = raw_open(path, O_WRONLY | O_CREAT | O_APPEND);
    if (fd < 0 || syscall(SYS_writev, fd, parts, count) < 0) {
        static const char message[] = "unsynced: cannot write the undo journal\n";
        syscall(SYS_write, 2, message, sizeof message - 1);
        _exit(97); /* a test that silently forgets nothing would be worse */
    }
    syscall(SYS_close, fd);
}

/* Before `size` bytes at `offset` change. The caller holds the lock. */
static void keep(int fd, const struct stat *status, uint64_t offset, uint64_t size) {
    uint64_t end = (uint64_t)status->st_size, kept = 0;
    char path[PATH_BYTES + 64], reopened[64];
    if (offset < end) kept = size < end - offset ? size : end - offset;
    char *old = malloc(kept ? kept : 1);
    if (kept) { /* the descriptor may be write-only */
        snprintf(reopened, sizeof reopened, "/proc/self/fd/%d", fd);
        long reader = raw_open(reopened, O_RDONLY);
        long got = reader < 0 ? -1 : syscall(SYS_pread64, reader, old, kept, offset);
        if (reader >= 0) syscall(SYS_close, reader);
        if (got < 0) _exit(97);
        kept = (uint64_t)got;
    }
    struct record record = {offset, kept, end};
    struct iovec parts[] = {{&record, sizeof record}, {old, kept}};
    journal_path(path, status, "undo");
    append(path, parts, 2);
    __atomic_add_fetch(&counters->writes, 1, __ATOMIC_RELAXED);
    free(old);
}

/* offset < 0: the descriptor's own position */
static int begin_write(int fd, int64_t offset, uint64_t size) {
    struct stat status;
    int saved = errno, held = 0;
    if (watched(fd, &status) && S_ISREG(status.st_mode)) {
        pthread_mutex_lock(&lock);
        held = 1;
        fstat(fd, &status);
        if (offset < 0)
            offset = syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND ? status.st_size : syscall(SYS_lseek, fd, 0, SEEK_CUR);
        keep(fd, &status, (uint64_t)offset, size);
    }
    errno = saved;
    return held;
}

static long end_write(int held, long result) {
    if (held) pthread_mutex_unlock(&lock);
    return result;
}

static uint64_t total(const struct iovec *parts, int count) {
    uint64_t size = 0;
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    return size;
}

ssize_t write(int fd, const void *data, size_t size) {
    int held = begin_write(fd, -1, size);
    return end_write(held, syscall(SYS_write, fd, data, size));
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    int held = begin_write(fd, -1, total(parts, count));
    return end_write(held, syscall(SYS_writev, fd, parts, count));
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    int held = begin_write(fd, offset, size);
    return end_write(held, syscall(SYS_pwrite64, fd, data, size, offset));
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    int held = begin_write(fd, offset, total(parts, count));
    return end_write(held, syscall(SYS_pwritev, fd, parts, count, offset, 0));
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev64(fd, parts, count, offset);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
    int held = begin_write(fd, offset, total(parts, count));
    return end_write(held, syscall(SYS_pwritev2, fd, parts, count, offset, 0, flags));
}
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    return pwritev64v2(fd, parts, count, offset, flags);
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t size) {
    int held = begin_write(out, -1, size);
    return end_write(held, syscall(SYS_sendfile, out, in, offset, size));
}
ssize_t sendfile(int out, int in, off_t *offset, size_t size) { return sendfile64(out, in, (off64_t *)offset, size); }
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    int held = begin_write(out, to ? *to : -1, size);
    return end_write(held, syscall(SYS_copy_file_range, in, from, out, to, size, flags));
}
int ftruncate64(int fd, off64_t size) {
    struct stat status;
    uint64_t cut = !fstat(fd, &status) && status.st_size > size ? (uint64_t)(status.st_size - size) : 0;
    int held = begin_write(fd, size, cut);
    return (int)end_write(held, syscall(SYS_ftruncate, fd, size));
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int truncate64(const char *path, off64_t size) {
    int fd = (int)raw_open(path, O_RDWR);
    if (fd < 0) return -1;
    int result = ftruncate64(fd, size);
    syscall(SYS_close, fd);
    return result;
}
int truncate(const char *path, off_t size) { return truncate64(path, size); }
int fallocate64(int fd, int mode, off64_t offset, off64_t size) {
    int held = begin_write(fd, offset, (uint64_t)size);
    return (int)end_write(held, syscall(SYS_fallocate, fd, mode, offset, size));
}
int fallocate(int fd, int mode, off_t offset, off_t size) { return fallocate64(fd, mode, offset, size); }
int posix_fallocate64(int fd, off64_t offset, off64_t size) { return fallocate64(fd, 0, offset, size) ? errno : 0; }
int posix_fallocate(int fd, off_t offset, off_t size) { return posix_fallocate64(fd, offset, size); }

/* Names. A record is `sequence kind` and up to three NUL-ended texts: C name | R old, new, saved | U name, saved */

static void name_record(const char *path, char kind, const char *first, const char *second, const char *third) {
    char directory[PATH_BYTES], journal[PATH_BYTES + 64], head[32];
    struct stat status;
    snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    if (!slash) return;
    *slash = 0;
    if (stat(directory, &status)) return;
    snprintf(head, sizeof head, "%lu %c", (unsigned long)sequence(), kind);
    struct iovec parts[] = {{head, strlen(head) + 1},
                            {(char *)first, strlen(first) + 1},
                            {(char *)second, strlen(second) + 1},
                            {(char *)third, strlen(third) + 1}};
    journal_path(journal, &status, "names");
    append(journal, parts, 4);
    __atomic_add_fetch(&counters->names, 1, __ATOMIC_RELAXED);
}

/* Keep the file itself, so that its name can come back. */
static void save(const char *path, char *saved) {
    snprintf(saved, PATH_BYTES + 64, "%s/saved-%lu", undo_dir, (unsigned long)sequence());
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, saved, 0)) saved[0] = 0;
}

static int opened(int dirfd, const char *name, int flags, mode_t mode) {
    char path[PATH_BYTES];
    struct stat before;
    int watching = data_dir_bytes && (flags & (O_CREAT | O_TRUNC)) && (flags & O_TMPFILE) != O_TMPFILE &&
                   absolute(dirfd, name, path) && below(path);
    if (!watching) return (int)syscall(SYS_openat, dirfd, name, flags, mode);
    pthread_mutex_lock(&lock);
    int existed = !stat(path, &before);
    if (existed && (flags & O_TRUNC) && !(flags & O_EXCL) && S_ISREG(before.st_mode)) {
        long fd = raw_open(path, O_RDONLY);
        if (fd >= 0) {
            keep((int)fd, &before, 0, (uint64_t)before.st_size);
            syscall(SYS_close, fd);
        }
    }
    if (!existed && (flags & O_CREAT)) name_record(path, 'C', path, "", "");
    int fd = (int)syscall(SYS_openat, dirfd, name, flags, mode);
    int saved = errno;
    if (fd >= 0 && !existed && !fstat(fd, &before)) {
        char journal[PATH_BYTES + 64]; /* of an earlier file with this inode number */
        journal_path(journal, &before, "undo");
        raw_unlink(journal);
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

#define MODE                                   \
    mode_t mode = 0;                           \
    if (flags & (O_CREAT | __O_TMPFILE)) {     \
        va_list rest;                          \
        va_start(rest, flags);                 \
        mode = va_arg(rest, mode_t);           \
        va_end(rest);                          \
    }

int open(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int openat(int dirfd, const char *path, int flags, ...) { MODE return opened(dirfd, path, flags, mode); }
int openat64(int dirfd, const char *path, int flags, ...) { MODE return opened(dirfd, path, flags, mode); }
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int mkdirat(int dirfd, const char *name, mode_t mode) {
    char path[PATH_BYTES];
    struct stat status;
    if (data_dir_bytes && absolute(dirfd, name, path) && below(path) && stat(path, &status))
        name_record(path, 'C', path, "", "");
    return (int)syscall(SYS_mkdirat, dirfd, name, mode);
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    char old[PATH_BYTES], new[PATH_BYTES], saved[PATH_BYTES + 64] = "";
    if (data_dir_bytes && absolute(from_dir, from, old) && absolute(to_dir, to, new) && below(new)) {
        pthread_mutex_lock(&lock);
        save(new, saved);
        name_record(new, 'R', old, new, saved);
        int result = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
        pthread_mutex_unlock(&lock);
        return result;
    }
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}
int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    return renameat2(from_dir, from, to_dir, to, 0);
}
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int dirfd, const char *name, int flags) {
    char path[PATH_BYTES], saved[PATH_BYTES + 64] = "";
    if (data_dir_bytes && !(flags & AT_REMOVEDIR) && absolute(dirfd, name, path) && below(path)) {
        save(path, saved);
        if (saved[0]) name_record(path, 'U', path, saved, "");
    }
    return (int)syscall(SYS_unlinkat, dirfd, name, flags);
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

/* Syncs. The journal is put aside first: what is written while the sync runs is not covered by it. */

static int synced(int fd, long number) {
    struct stat status;
    char journal[PATH_BYTES + 64], aside[PATH_BYTES + 128];
    if (!watched(fd, &status)) return (int)syscall(number, fd);
    int directory = S_ISDIR(status.st_mode);
    pthread_mutex_lock(&lock);
    journal_path(journal, &status, directory ? "names" : "undo");
    snprintf(aside, sizeof aside, "%s.%lu", journal, (unsigned long)sequence());
    syscall(SYS_renameat2, AT_FDCWD, journal, AT_FDCWD, aside, 0);
    pthread_mutex_unlock(&lock);
    int result = (int)syscall(number, fd);
    int saved = errno;
    if (!result) {
        raw_unlink(aside);
        __atomic_add_fetch(directory ? &counters->directory_syncs : &counters->syncs, 1, __ATOMIC_RELAXED);
    }
    errno = saved;
    return result;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
