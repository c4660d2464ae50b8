/*
 * Stands between the daemon and the C library (LD_PRELOAD) and makes a test's disk and clock misbehave.
 *
 * Everything that changes a file or a folder below FAULTS_FOLDER is written to the log FAULTS_LOG, together with every
 * fsync and fdatasync: when it was called and when it came back. Who replays the log up to a SIGKILL knows what a power
 * cut at that moment may leave on a disk: `disk.rs` does. sync_file_range promises nothing, so it counts as nothing.
 *
 * FAULTS_CONTROL is a file of 64-bit numbers that the test changes while the daemon runs; `enum control` lists them.
 *
 * What this file does not know how to log is logged as FOREIGN, which fails the test; what does not come through the C
 * library at all is found because the replay of everything does not give the folder that is there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* ---- what the test can change ---- */

enum control {
    CLOCK_OFFSET_NS,  /* added to the wall clock */
    SYNC_FAILS,       /* the n-th sync from now fails once; 0: none */
    SYNC_ERRNO,       /* with this */
    WRITE_ERRNO,      /* every write, create and growing truncate fails with this; 0: none */
    ROOM_BYTES,       /* so many bytes may be added in all, then ENOSPC; 0: no limit */
    WHERE,            /* bit 0: the journal, bit 1: everything else; what the faults above are about */
    LIES,             /* bit 0: fsync of a file that is said to be done is not, bit 1: the same of a folder */
    GROWN_BYTES,      /* written here: bytes added so far */
    SYNCS,            /* written here: syncs of what WHERE names */
    CLOCK_READS,      /* written here: readings of the wall clock */
    SYNC_TAKES_US,    /* so much longer takes each sync of what WHERE names */
    CONTROLS
};

static volatile int64_t none[CONTROLS] = {[WHERE] = 3};
static volatile int64_t *control = none;

/* ---- the log ---- */

enum operation { OPEN = 1, WRITE, TRUNCATE, RENAME, UNLINK, MKDIR, RMDIR, SYNC_BEGAN, SYNC_ENDED, RESULT, FOREIGN, OPENS };
enum { CREATED = 1, EMPTIED = 2, FOLDER = 4 };

struct record {
    uint32_t operation;
    uint32_t path_length; /* the path follows, then the data */
    uint64_t data_length;
    uint64_t inode;
    uint64_t number; /* offset, length, flags, sync or result */
};

static char folder[PATH_MAX];
static size_t folder_length;
static int log_file = -1;
static uint64_t syncs_begun;
/* Held over a change and its record, so that the log has the order in which things happened. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        dprintf(2, "shim: the C library has no %s\n", name);
        abort();
    }
    return found;
}

static void note_data(enum operation operation, uint64_t inode, uint64_t number, const char *path, const void *data,
                      size_t data_length) {
    if (log_file < 0) return;
    struct record record = {operation, path ? strlen(path) : 0, data_length, inode, number};
    struct iovec parts[3] = {{&record, sizeof record}, {(void *)path, record.path_length}, {(void *)data, data_length}};
    ssize_t size = sizeof record + record.path_length + data_length;
    static __typeof__(&writev) write_parts;
    if (!write_parts) write_parts = REAL(writev);
    int before = errno;
    if (write_parts(log_file, parts, 3) != size) {
        dprintf(2, "shim: the log cannot be written\n");
        abort();
    }
    errno = before;
}

static void note(enum operation operation, uint64_t inode, uint64_t number, const char *path) {
    note_data(operation, inode, number, path, NULL, 0);
}

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("FAULTS_FOLDER"), *log = getenv("FAULTS_LOG"), *controls = getenv("FAULTS_CONTROL");
    if (where) {
        folder_length = strlen(where);
        memcpy(folder, where, folder_length + 1);
    }
    if (log) log_file = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (controls) {
        int file = REAL(open)(controls, O_RDWR | O_CLOEXEC);
        void *numbers = REAL(mmap)(NULL, CONTROLS * sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (file < 0 || numbers == MAP_FAILED) abort();
        close(file);
        control = numbers;
    }
}

/* ---- whose files these are ---- */

struct known {
    dev_t device;
    ino_t inode;
    bool is_journal;
};
static struct known known[1 << 14];
enum { KNOWN = sizeof known / sizeof *known };

/* Where it is in the table, or the free place for it. */
static struct known *place(const struct stat *of) {
    for (size_t at = of->st_ino % KNOWN, tried = 0; tried < KNOWN; at = (at + 1) % KNOWN, tried++)
        if (!known[at].inode || (known[at].inode == of->st_ino && known[at].device == of->st_dev)) return &known[at];
    dprintf(2, "shim: too many files\n");
    abort();
}

/* Whether an open file is one of ours; then it is described. */
static bool is_ours(int fd, struct stat *stat, struct known *found) {
    if (!folder_length) return false;
    int before = errno;
    bool ours = fstat(fd, stat) == 0 && (S_ISREG(stat->st_mode) || S_ISDIR(stat->st_mode));
    if (ours) {
        pthread_mutex_lock(&turn);
        *found = *place(stat);
        pthread_mutex_unlock(&turn);
        ours = found->inode != 0;
    }
    errno = before;
    return ours;
}

/* The whole path, where it is below the folder or the folder itself. */
static bool is_inside(int at, const char *path, char full[PATH_MAX]) {
    if (!folder_length || !path) return false;
    int before = errno;
    if (path[0] == '/') {
        snprintf(full, PATH_MAX, "%s", path);
    } else if (at == AT_FDCWD) {
        if (!getcwd(full, PATH_MAX)) full[0] = 0;
        snprintf(full + strlen(full), PATH_MAX - strlen(full), "/%s", path);
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t size = readlink(link, full, PATH_MAX - 1);
        full[size < 0 ? 0 : size] = 0;
        snprintf(full + strlen(full), PATH_MAX - strlen(full), "/%s", path);
    }
    errno = before;
    size_t length = strlen(full);
    while (length > 1 && full[length - 1] == '/') full[--length] = 0;
    return strncmp(full, folder, folder_length) == 0 && (full[folder_length] == '/' || !full[folder_length]);
}

static bool is_journal(const char *full) { return strstr(full + folder_length, "/journal/") != NULL; }

static bool is_meant(bool journal) { return control[WHERE] & (journal ? 1 : 2); }

/* ---- opening ---- */

static int open_any(int at, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    __typeof__(&openat) call = REAL(openat);
    if (!is_inside(at, path, full)) return call(at, path, flags, mode);
    pthread_mutex_lock(&turn);
    struct stat stat;
    bool is_new = lstat(full, &stat) != 0;
    bool is_emptied = !is_new && (flags & O_TRUNC);
    int fd = -1;
    if ((flags & O_TMPFILE) == O_TMPFILE) note(FOREIGN, 0, 0, "O_TMPFILE");
    if (is_new && (flags & O_CREAT) && is_meant(is_journal(full)) && control[WRITE_ERRNO]) {
        errno = control[WRITE_ERRNO];
    } else if (is_new && (flags & O_CREAT) && is_meant(is_journal(full)) && control[ROOM_BYTES] &&
               control[GROWN_BYTES] >= control[ROOM_BYTES]) {
        errno = ENOSPC;
    } else {
        if ((is_new && (flags & O_CREAT)) || is_emptied) note(OPENS, 0, 0, full);
        fd = call(at, path, flags, mode);
    }
    if (fd >= 0 && fstat(fd, &stat) == 0) {
        *place(&stat) = (struct known){stat.st_dev, stat.st_ino, is_journal(full)};
        int how = (is_new ? CREATED : 0) | (is_emptied ? EMPTIED : 0) | (S_ISDIR(stat.st_mode) ? FOLDER : 0);
        note(OPEN, stat.st_ino, how, full);
    }
    pthread_mutex_unlock(&turn);
    return fd;
}

#define MODE(flags)                                                                                                    \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_any(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_any(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* ---- writing ---- */

/* How many of these bytes the disk takes; -1 with errno for none. Held: the turn. */
static ssize_t room_for(bool journal, int64_t size, int64_t end, size_t length) {
    if (!is_meant(journal)) return length;
    if (control[WRITE_ERRNO]) {
        errno = control[WRITE_ERRNO];
        return -1;
    }
    int64_t more = end > size ? end - size : 0;
    int64_t left = control[ROOM_BYTES] - control[GROWN_BYTES];
    if (control[ROOM_BYTES] && more > left) {
        /* A disk that gets full takes the beginning. */
        int64_t taken = (int64_t)length - (more - (left > 0 ? left : 0));
        if (taken <= 0) {
            errno = ENOSPC;
            return -1;
        }
        return taken;
    }
    return length;
}

/* Writes at `offset`, or where the file stands if that is -1. */
static ssize_t write_any(int fd, const struct iovec *parts, int count, int64_t offset, const struct stat *first,
                         struct known known) {
    size_t length = 0;
    for (int n = 0; n < count; n++) length += parts[n].iov_len;
    char *data = malloc(length + 1), *end = data;
    if (!data) abort();
    for (int n = 0; n < count; n++) end = mempcpy(end, parts[n].iov_base, parts[n].iov_len);

    pthread_mutex_lock(&turn);
    struct stat stat = *first;
    fstat(fd, &stat);
    bool is_at = offset >= 0, is_append = fcntl(fd, F_GETFL) & O_APPEND;
    int64_t where = is_append ? stat.st_size : is_at ? offset : lseek(fd, 0, SEEK_CUR);
    ssize_t taken = room_for(known.is_journal, stat.st_size, where + (int64_t)length, length);
    ssize_t written = -1;
    if (taken >= 0) {
        /* Logged first: a kill in the middle leaves a part of what was logged, never more. */
        note_data(WRITE, stat.st_ino, where, NULL, data, taken);
        written = is_at ? REAL(pwrite64)(fd, data, taken, offset) : REAL(write)(fd, data, taken);
        if (written != taken) note(RESULT, stat.st_ino, written, NULL);
        int64_t grown = where + written - stat.st_size;
        if (written > 0 && grown > 0) control[GROWN_BYTES] += grown;
    }
    pthread_mutex_unlock(&turn);
    int why = errno;
    free(data);
    errno = why;
    return written;
}

#define OURS(fd)                                                                                                       \
    struct stat stat;                                                                                                  \
    struct known known;                                                                                                \
    bool ours = is_ours(fd, &stat, &known)

ssize_t write(int fd, const void *data, size_t length) {
    OURS(fd);
    static __typeof__(&write) call;
    if (!call) call = REAL(write);
    if (!ours) return call(fd, data, length);
    return write_any(fd, &(struct iovec){(void *)data, length}, 1, -1, &stat, known);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    OURS(fd);
    static __typeof__(&writev) call;
    if (!call) call = REAL(writev);
    if (!ours) return call(fd, parts, count);
    return write_any(fd, parts, count, -1, &stat, known);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    OURS(fd);
    if (!ours) return REAL(pwrite64)(fd, data, length, offset);
    return write_any(fd, &(struct iovec){(void *)data, length}, 1, offset, &stat, known);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    OURS(fd);
    if (!ours) return REAL(pwritev64)(fd, parts, count, offset);
    return write_any(fd, parts, count, offset, &stat, known);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev64(fd, parts, count, offset);
}

int ftruncate64(int fd, off64_t length) {
    OURS(fd);
    if (!ours) return REAL(ftruncate64)(fd, length);
    pthread_mutex_lock(&turn);
    fstat(fd, &stat);
    int result = -1;
    /* A hole takes no room. */
    if (length > stat.st_size && is_meant(known.is_journal) && control[WRITE_ERRNO]) {
        errno = control[WRITE_ERRNO];
    } else {
        note(TRUNCATE, stat.st_ino, length, NULL);
        result = REAL(ftruncate64)(fd, length);
        if (result) note(RESULT, stat.st_ino, -1, NULL);
    }
    pthread_mutex_unlock(&turn);
    return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

/* ---- names ---- */

static int rename_any(int at, const char *from, int to_at, const char *to, unsigned flags) {
    char old[PATH_MAX], new[PATH_MAX];
    bool ours = is_inside(at, from, old), is_kept = is_inside(to_at, to, new);
    if (!ours && !is_kept) return REAL(renameat2)(at, from, to_at, to, flags);
    pthread_mutex_lock(&turn);
    if (flags || ours != is_kept) note(FOREIGN, 0, 0, "rename with flags, or over the folder's edge");
    note_data(RENAME, 0, 0, old, new, strlen(new));
    int result = REAL(renameat2)(at, from, to_at, to, flags);
    if (result) note(RESULT, 0, -1, NULL);
    pthread_mutex_unlock(&turn);
    return result;
}

int rename(const char *from, const char *to) { return rename_any(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int at, const char *from, int to_at, const char *to) { return rename_any(at, from, to_at, to, 0); }
int renameat2(int at, const char *from, int to_at, const char *to, unsigned flags) {
    return rename_any(at, from, to_at, to, flags);
}

int unlinkat(int at, const char *path, int flags) {
    char full[PATH_MAX];
    if (!is_inside(at, path, full)) return REAL(unlinkat)(at, path, flags);
    pthread_mutex_lock(&turn);
    note(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, 0, full);
    int result = REAL(unlinkat)(at, path, flags);
    if (result) note(RESULT, 0, -1, NULL);
    pthread_mutex_unlock(&turn);
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int at, const char *path, mode_t mode) {
    char full[PATH_MAX];
    if (!is_inside(at, path, full)) return REAL(mkdirat)(at, path, mode);
    pthread_mutex_lock(&turn);
    note(MKDIR, 0, 0, full);
    int result = REAL(mkdirat)(at, path, mode);
    if (result) note(RESULT, 0, -1, NULL);
    pthread_mutex_unlock(&turn);
    return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* ---- syncing ---- */

static int sync_any(int fd, int (*call)(int)) {
    OURS(fd);
    if (!ours) return call(fd);
    bool is_folder = S_ISDIR(stat.st_mode), fails = false;
    pthread_mutex_lock(&turn);
    uint64_t sync = ++syncs_begun;
    if (is_meant(known.is_journal)) {
        control[SYNCS]++;
        fails = control[SYNC_FAILS] > 0 && --control[SYNC_FAILS] == 0;
    }
    note(SYNC_BEGAN, stat.st_ino, sync, NULL);
    pthread_mutex_unlock(&turn);
    if (fails) {
        errno = control[SYNC_ERRNO];
        return -1;
    }
    if (is_meant(known.is_journal) && control[SYNC_TAKES_US]) usleep(control[SYNC_TAKES_US]);
    int result = call(fd);
    if (result == 0 && !(control[LIES] & (is_folder ? 2 : 1))) {
        pthread_mutex_lock(&turn);
        note(SYNC_ENDED, stat.st_ino, sync, NULL);
        pthread_mutex_unlock(&turn);
    }
    return result;
}

int fsync(int fd) { return sync_any(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_any(fd, REAL(fdatasync)); }

/* ---- what nobody uses, and would be missed ---- */

#define FOREIGN_ON(fd, name)                                                                                           \
    OURS(fd);                                                                                                          \
    (void)stat, (void)known;                                                                                           \
    if (ours) {                                                                                                        \
        pthread_mutex_lock(&turn);                                                                                     \
        note(FOREIGN, 0, 0, name);                                                                                     \
        pthread_mutex_unlock(&turn);                                                                                   \
    }

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    FOREIGN_ON(fd, "fallocate");
    return REAL(fallocate64)(fd, mode, offset, length);
}
int fallocate(int fd, int mode, off_t offset, off_t length) { return fallocate64(fd, mode, offset, length); }

int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    FOREIGN_ON(fd, "posix_fallocate");
    return REAL(posix_fallocate64)(fd, offset, length);
}
int posix_fallocate(int fd, off_t offset, off_t length) { return posix_fallocate64(fd, offset, length); }

ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t length, unsigned flags) {
    FOREIGN_ON(to, "copy_file_range");
    return REAL(copy_file_range)(from, from_offset, to, to_offset, length, flags);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE)) {
        FOREIGN_ON(fd, "mmap");
    }
    return REAL(mmap64)(address, length, protection, flags, fd, offset);
}
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap64(address, length, protection, flags, fd, offset);
}

int linkat(int at, const char *from, int to_at, const char *to, int flags) {
    char full[PATH_MAX];
    if (is_inside(to_at, to, full)) {
        pthread_mutex_lock(&turn);
        note(FOREIGN, 0, 0, "link");
        pthread_mutex_unlock(&turn);
    }
    return REAL(linkat)(at, from, to_at, to, flags);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

/* ---- the clock ---- */

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) call;
    if (!call) call = REAL(clock_gettime);
    int result = call(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        control[CLOCK_READS]++;
        int64_t moved = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + control[CLOCK_OFFSET_NS];
        now->tv_sec = moved / 1000000000;
        now->tv_nsec = moved % 1000000000;
    }
    return result;
}
