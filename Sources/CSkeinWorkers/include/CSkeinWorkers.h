// What a master and its workers need from the system and Swift cannot say: memory that processes share, locks that survive their
// holders, processes started with exactly the descriptors they are given, and a report of a crash.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: The shared page

enum {
    SKEIN_NAME_BYTES = 88,      // the longest name of a state or a lock
    SKEIN_STATES = 1024,
    SKEIN_LOCKS = 256,
    SKEIN_RECORDS = 128,        // processes that can be alive at one time, those that drain included
    SKEIN_SHARDS = 64,          // event loops of a process
    SKEIN_COUNTERS = 32,        // counters of an event loop
    SKEIN_UNDER_WAY = 24,       // requests of an event loop that a crash report can name
    SKEIN_METER_SETS = 2048,    // rate meters, eight in a set
    SKEIN_METER_WAYS = 8,
    SKEIN_STRIPES = 64,
};

// A named integer, and when it or what it stands for was changed last (nanoseconds since 1970; 0 for never).
typedef struct {
    uint32_t is_used;
    uint32_t name_length;
    char name[SKEIN_NAME_BYTES];
    int64_t value;
    int64_t changed;
    int64_t fence;
} skein_state;

// A request that is being answered.
typedef struct {
    uint64_t number;            // connection << 32 | request; 0 for none
    char transaction[64];       // the identity that the client has sent, if any
} skein_request;

// A process.
typedef struct {
    int64_t pid;                // 0 for a free record
    int64_t slot;
    int64_t phase;
    int64_t generation;
    int64_t started;            // seconds since 1970
    int64_t connections;        // open now
    int64_t shards;             // event loops that count; a worker may have written anything
    int64_t memory;             // resident bytes, as the master has seen them last
    int64_t cpu;                // permille of a core, in the last second
    int64_t is_replaced;        // another process serves in its place
    int64_t reserved[6];
    int64_t heartbeats[SKEIN_SHARDS];   // of the event loops: nanoseconds of CLOCK_MONOTONIC
    int64_t threads[SKEIN_SHARDS];      // the system's numbers of their threads
    int64_t counters[SKEIN_SHARDS][SKEIN_COUNTERS];
    skein_request under_way[SKEIN_SHARDS][SKEIN_UNDER_WAY];
} skein_record;

// A rate meter.
typedef struct {
    uint32_t name_length;       // 0 for a free one
    char name[SKEIN_NAME_BYTES];
    double used;
    double previous;
    double since;
    double touched;
} skein_meter;

typedef struct skein_page skein_page;

// Makes a page in memory without a name. Returns NULL and sets errno when there is none to be had.
skein_page *skein_page_create(int *descriptor);
// Maps a page that another process has made. Returns NULL and sets errno; EPROTO for one of another version of this program.
skein_page *skein_page_map(int descriptor, bool writable);
void skein_page_unmap(skein_page *page);

// The entry of a name, made when there is none. NULL when the name is too long or all entries are taken.
skein_state *skein_page_state(skein_page *page, const char *name, size_t length);
skein_state *skein_page_lock(skein_page *page, const char *name, size_t length, int *index);
// The entries by number, for listings; NULL beyond those in use.
const skein_state *skein_page_state_at(const skein_page *page, int index);

skein_record *skein_page_record(skein_page *page, int index);
// The entry of a name; NULL when there is none.
const skein_state *skein_page_find(const skein_page *page, const char *name, size_t length);
// Adds what a process has counted to the totals, and frees its record.
void skein_page_fold(skein_page *page, skein_record *record);
// The counters of all processes that there are and were, as they were at one moment.
void skein_page_sums(const skein_page *page, int64_t sums[SKEIN_COUNTERS]);
// Facts of the master by number, for `status`.
int64_t *skein_page_master(skein_page *page);

// A set of meters, locked until it is given back. The seed of the page keeps peers from choosing names for one set.
skein_meter *skein_page_meters(skein_page *page, const char *name, size_t length, int *stripe);
void skein_page_release_meters(skein_page *page, int stripe);

static inline int64_t skein_load(const int64_t *place) { return __atomic_load_n(place, __ATOMIC_ACQUIRE); }
static inline void skein_store(int64_t *place, int64_t value) { __atomic_store_n(place, value, __ATOMIC_RELEASE); }
static inline int64_t skein_exchange(int64_t *place, int64_t value) {
    return __atomic_exchange_n(place, value, __ATOMIC_ACQ_REL);
}
static inline int64_t skein_add(int64_t *place, int64_t number) {
    return (int64_t)((uint64_t)__atomic_fetch_add((uint64_t *)place, (uint64_t)number, __ATOMIC_ACQ_REL) + (uint64_t)number);
}
static inline bool skein_compare_and_set(int64_t *place, int64_t expected, int64_t value) {
    return __atomic_compare_exchange_n(place, &expected, value, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
// Sets a moment that does not go back, and changes each time.
static inline void skein_raise(int64_t *place, int64_t value) {
    int64_t known = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    do {
        if (value <= known) value = known + 1;
    } while (!__atomic_compare_exchange_n(place, &known, value, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}
// A counter that one thread writes and others read.
static inline int64_t skein_read(const int64_t *place) { return __atomic_load_n(place, __ATOMIC_RELAXED); }
static inline void skein_count(int64_t *place, int64_t number) {
    __atomic_store_n(place, (int64_t)((uint64_t)__atomic_load_n(place, __ATOMIC_RELAXED) + (uint64_t)number), __ATOMIC_RELAXED);
}

// MARK: Locks

// A descriptor of its own for locks of a page: the system gives back what it holds when the process ends, however it ends.
int skein_locks_open(int page_descriptor);
// 0 when the lock is taken, EAGAIN when another process holds it, or another error.
int skein_locks_try(int locks, int index);
void skein_locks_release(int locks, int index);

// MARK: Processes

typedef struct {
    int source;                 // a descriptor of this process, above all targets
    int target;
} skein_descriptor;

// Starts a program with standard input from /dev/null, standard output and error as here, the given descriptors and no other, no
// signal blocked or ignored, in a process group of its own, or in a session of its own. Returns 0 or an error number.
int skein_spawn(const char *path, char *const *arguments, char *const *environment, const skein_descriptor *descriptors,
                size_t count, bool in_session, pid_t *pid);

char **skein_environment(void);

// The next connection of a listening socket, closed on exec; -1 when there is none.
int skein_accept(int listener);

// Signals are written to a descriptor as bytes from now on. SIGPIPE is ignored.
int skein_signals_write(int descriptor, const int *signals, size_t count);

// Names this process in lists of processes. The memory of the arguments is overwritten.
void skein_set_title(int count, char *const *arguments, const char *title);

// The system's number of the calling thread, which from now on accepts SIGABRT, as threads of dispatch do not, and reports a crash also
// when its stack is full.
int64_t skein_thread(void);
// Sends a signal to one thread of a process, or to the process where the system cannot.
void skein_signal_thread(pid_t pid, int64_t thread, int signal);

// The next child that has ended; 0 when none has. The status is that of waitpid(2).
pid_t skein_reap(int *status);
// The process of which waitid(2) has told; 0 for none.
pid_t skein_ended_process(const void *facts);
bool skein_has_exited(int status, int *code, int *signal);

// 0, or an error number.
int skein_set_user(uid_t user, gid_t group, const char *name);

// MARK: Crashes

// Writes of a crash to a descriptor: the signal, the address, the frames of the thread, and the requests under way.
void skein_report_crashes(int descriptor, const skein_record *record);
// A name of Swift as people write it; NULL when it is none. Free it.
char *skein_demangle(const char *name, size_t length);

// The functions that hold some addresses of a program's file: their names, to be freed, and where they begin. Names of addresses that
// no function holds stay NULL.
void skein_symbols(const char *path, const uint64_t *offsets, size_t count, char **names, uint64_t *starts);

int skein_memory_file(const char *name);

#ifdef __cplusplus
}
#endif
