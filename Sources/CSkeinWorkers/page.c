// The memory that a master and its workers share.
#define _GNU_SOURCE
#include "CSkeinWorkers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SKEIN_MAGIC 0x31306e69656b7300ull

struct skein_page {
    uint64_t magic;
    uint64_t size;
    uint64_t seed;
    pthread_mutex_t directory;                  // while an entry is added
    pthread_mutex_t folding;                    // while a master folds a record
    pthread_mutex_t stripes[SKEIN_STRIPES];     // while meters of a stripe are read and written
    int64_t master[32];
    int64_t folds;                              // odd while a record is being folded
    int64_t totals[SKEIN_COUNTERS];
    skein_state states[SKEIN_STATES];
    skein_state locks[SKEIN_LOCKS];
    skein_record records[SKEIN_RECORDS];
    skein_meter meters[SKEIN_METER_SETS][SKEIN_METER_WAYS];
};

int skein_memory_file(const char *name) {
#ifdef __linux__
    return memfd_create(name, MFD_CLOEXEC);
#else
    char path[] = "/tmp/skein.XXXXXX";
    (void)name;
    int descriptor = mkstemp(path);
    if (descriptor >= 0) {
        unlink(path);
        fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    }
    return descriptor;
#endif
}

static int prepare(pthread_mutex_t *mutex) {
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);
    if (error) return error;
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
#ifdef __linux__
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
#endif
    error = pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return error;
}

// What a holder was about to write when it died is either not visible yet or overwritten by the next one, so its lock is taken over.
static void take(pthread_mutex_t *mutex) {
#ifdef __linux__
    if (pthread_mutex_lock(mutex) == EOWNERDEAD) pthread_mutex_consistent(mutex);
#else
    pthread_mutex_lock(mutex);
#endif
}

skein_page *skein_page_create(int *descriptor) {
    int file = skein_memory_file("skein-page");
    if (file < 0) return NULL;
    if (ftruncate(file, sizeof(skein_page)) != 0) goto failed;
    skein_page *page = mmap(NULL, sizeof(skein_page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) goto failed;
    int error = prepare(&page->directory);
    if (!error) error = prepare(&page->folding);
    for (int index = 0; index < SKEIN_STRIPES && !error; index++) error = prepare(&page->stripes[index]);
    if (error) {
        munmap(page, sizeof(skein_page));
        errno = error;
        goto failed;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    page->seed = ((uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15ull) ^ ((uint64_t)getpid() << 32) ^ (uint64_t)now.tv_sec;
    int random = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (random >= 0) {
        uint64_t seed;
        if (read(random, &seed, sizeof seed) == sizeof seed) page->seed = seed;
        close(random);
    }
    page->size = sizeof(skein_page);
    __atomic_store_n(&page->magic, SKEIN_MAGIC, __ATOMIC_RELEASE);
    *descriptor = file;
    return page;
failed:;
    int reason = errno;
    close(file);
    errno = reason;
    return NULL;
}

skein_page *skein_page_map(int descriptor, bool writable) {
    struct stat facts;
    if (fstat(descriptor, &facts) != 0) return NULL;
    if (facts.st_size != sizeof(skein_page)) {
        errno = EPROTO;
        return NULL;
    }
    skein_page *page = mmap(NULL, sizeof(skein_page), writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, descriptor, 0);
    if (page == MAP_FAILED) return NULL;
    if (__atomic_load_n(&page->magic, __ATOMIC_ACQUIRE) != SKEIN_MAGIC || page->size != sizeof(skein_page)) {
        munmap(page, sizeof(skein_page));
        errno = EPROTO;
        return NULL;
    }
    return page;
}

void skein_page_unmap(skein_page *page) { munmap(page, sizeof(skein_page)); }

static bool is_named(const skein_state *entry, const char *name, size_t length) {
    return entry->name_length == length && memcmp(entry->name, name, length) == 0;
}

// Entries are never removed, and become visible when their names are complete; so they are found without a lock.
static skein_state *find(skein_page *page, skein_state *entries, int count, const char *name, size_t length, int *index) {
    if (length == 0 || length > SKEIN_NAME_BYTES) return NULL;
    int next = 0;
    for (; next < count && __atomic_load_n(&entries[next].is_used, __ATOMIC_ACQUIRE); next++) {
        if (is_named(&entries[next], name, length)) goto found;
    }
    take(&page->directory);
    for (; next < count && __atomic_load_n(&entries[next].is_used, __ATOMIC_ACQUIRE); next++) {
        if (is_named(&entries[next], name, length)) {
            pthread_mutex_unlock(&page->directory);
            goto found;
        }
    }
    if (next == count) {
        pthread_mutex_unlock(&page->directory);
        return NULL;
    }
    memcpy(entries[next].name, name, length);
    entries[next].name_length = (uint32_t)length;
    __atomic_store_n(&entries[next].is_used, 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&page->directory);
found:
    if (index) *index = next;
    return &entries[next];
}

skein_state *skein_page_state(skein_page *page, const char *name, size_t length) {
    return find(page, page->states, SKEIN_STATES, name, length, NULL);
}

skein_state *skein_page_lock(skein_page *page, const char *name, size_t length, int *index) {
    return find(page, page->locks, SKEIN_LOCKS, name, length, index);
}

const skein_state *skein_page_state_at(const skein_page *page, int index) {
    if (index < 0 || index >= SKEIN_STATES) return NULL;
    const skein_state *entry = &page->states[index];
    return __atomic_load_n(&entry->is_used, __ATOMIC_ACQUIRE) ? entry : NULL;
}

skein_record *skein_page_record(skein_page *page, int index) {
    return index >= 0 && index < SKEIN_RECORDS ? &page->records[index] : NULL;
}

const skein_state *skein_page_find(const skein_page *page, const char *name, size_t length) {
    for (int index = 0; index < SKEIN_STATES && __atomic_load_n(&page->states[index].is_used, __ATOMIC_ACQUIRE); index++) {
        if (is_named(&page->states[index], name, length)) return &page->states[index];
    }
    return NULL;
}

static int shards_of(const skein_record *record) {
    int64_t count = __atomic_load_n(&record->shards, __ATOMIC_ACQUIRE);
    return count < 0 ? 0 : count > SKEIN_SHARDS ? SKEIN_SHARDS : (int)count;
}

static void add_to(int64_t *sum, const int64_t *place) {
    *sum = (int64_t)((uint64_t)*sum + (uint64_t)__atomic_load_n(place, __ATOMIC_RELAXED));
}

void skein_page_fold(skein_page *page, skein_record *record) {
    // Not the lock of the directory, which a worker may hold while it is stopped.
    take(&page->folding);
    int shards = shards_of(record);
    // A master that has died in here has left an odd number, which this one makes even.
    int64_t fold = __atomic_load_n(&page->folds, __ATOMIC_RELAXED) | 1;
    __atomic_store_n(&page->folds, fold, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (int shard = 0; shard < shards; shard++) {
        for (int counter = 0; counter < SKEIN_COUNTERS; counter++) {
            skein_count(&page->totals[counter], skein_read(&record->counters[shard][counter]));
        }
        memset(record->counters[shard], 0, sizeof record->counters[shard]);
        memset(record->under_way[shard], 0, sizeof record->under_way[shard]);
    }
    skein_store(&record->connections, 0);
    skein_store(&record->phase, 0);
    skein_store(&record->shards, 0);
    skein_store(&record->pid, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&page->folds, fold + 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&page->folding);
}

void skein_page_sums(const skein_page *page, int64_t sums[SKEIN_COUNTERS]) {
    // Otherwise the counters of an ended process could be missing, or be there twice. Not for ever: a master may die in the middle.
    for (int attempt = 0; attempt < 1000; attempt++) {
        int64_t before = __atomic_load_n(&page->folds, __ATOMIC_SEQ_CST);
        for (int counter = 0; counter < SKEIN_COUNTERS; counter++) sums[counter] = skein_read(&page->totals[counter]);
        for (int index = 0; index < SKEIN_RECORDS; index++) {
            const skein_record *record = &page->records[index];
            if (skein_load(&record->pid) == 0) continue;
            for (int shard = 0; shard < shards_of(record); shard++) {
                for (int counter = 0; counter < SKEIN_COUNTERS; counter++) add_to(&sums[counter], &record->counters[shard][counter]);
            }
        }
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (!(before & 1) && __atomic_load_n(&page->folds, __ATOMIC_SEQ_CST) == before) return;
        sched_yield();
    }
}

int64_t *skein_page_master(skein_page *page) { return page->master; }

skein_meter *skein_page_meters(skein_page *page, const char *name, size_t length, int *stripe) {
    uint64_t hash = page->seed;
    for (size_t index = 0; index < length; index++) hash = (hash ^ (uint8_t)name[index]) * 0x100000001b3ull;
    hash ^= hash >> 29;
    hash *= 0xbf58476d1ce4e5b9ull;
    hash ^= hash >> 32;
    int set = (int)(hash % SKEIN_METER_SETS);
    *stripe = set % SKEIN_STRIPES;
    take(&page->stripes[*stripe]);
    return page->meters[set];
}

void skein_page_release_meters(skein_page *page, int stripe) { pthread_mutex_unlock(&page->stripes[stripe]); }

// MARK: Locks

int skein_locks_open(int page_descriptor) {
    // A description of its own: the system ties these locks to it, and not to the process.
    char path[64];
    const char *prefix = "/proc/self/fd/";
    size_t used = strlen(prefix);
    memcpy(path, prefix, used);
    char digits[16];
    int count = 0;
    do digits[count++] = (char)('0' + page_descriptor % 10);
    while ((page_descriptor /= 10) > 0);
    while (count > 0) path[used++] = digits[--count];
    path[used] = 0;
    return open(path, O_RDWR | O_CLOEXEC);
}

static int set_lock(int locks, int index, short kind) {
#ifdef F_OFD_SETLK
    struct flock lock = {.l_type = kind, .l_whence = SEEK_SET, .l_start = index, .l_len = 1};
    int result;
    do result = fcntl(locks, F_OFD_SETLK, &lock);
    while (result != 0 && errno == EINTR);
    if (result == 0) return 0;
    return errno == EACCES ? EAGAIN : errno;
#else
    (void)locks, (void)index, (void)kind;
    return 0;
#endif
}

int skein_locks_try(int locks, int index) { return set_lock(locks, index, F_WRLCK); }
void skein_locks_release(int locks, int index) { set_lock(locks, index, F_UNLCK); }
