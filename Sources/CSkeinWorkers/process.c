// Processes: how they are started, named and ended.
#define _GNU_SOURCE
#include "CSkeinWorkers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <features.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

int skein_spawn(const char *path, char *const *arguments, char *const *environment, const skein_descriptor *descriptors,
                size_t count, bool in_session, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return error;
    error = posix_spawnattr_init(&attributes);
    if (error) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    int last = 2;
    if (!error) error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    for (size_t index = 0; index < count && !error; index++) {
        error = posix_spawn_file_actions_adddup2(&actions, descriptors[index].source, descriptors[index].target);
        if (descriptors[index].target > last) last = descriptors[index].target;
    }
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    // Others are closed on exec, unless a library has opened them without that flag.
    if (!error) error = posix_spawn_file_actions_addclosefrom_np(&actions, last + 1);
#endif
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    sigset_t all, none;
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    sigemptyset(&none);
    if (!error) error = posix_spawnattr_setsigdefault(&attributes, &all);
    if (!error) error = posix_spawnattr_setsigmask(&attributes, &none);
#ifdef POSIX_SPAWN_SETSID
    if (in_session) flags |= POSIX_SPAWN_SETSID;
#endif
    // Signals of the terminal are for the master alone, which passes on what they mean.
    if (!in_session) {
        flags |= POSIX_SPAWN_SETPGROUP;
        if (!error) error = posix_spawnattr_setpgroup(&attributes, 0);
    }
    if (!error) error = posix_spawnattr_setflags(&attributes, flags);
    if (!error) error = posix_spawn(pid, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

extern char **environ;
char **skein_environment(void) { return environ; }

int skein_accept(int listener) {
#ifdef __linux__
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
    int descriptor = accept(listener, NULL, NULL);
    if (descriptor >= 0) fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    return descriptor;
#endif
}

static volatile int signal_descriptor = -1;

static void write_signal(int number) {
    int before = errno;
    unsigned char byte = (unsigned char)number;
    ssize_t written = write(signal_descriptor, &byte, 1);
    (void)written;  // A full pipe holds signals enough.
    errno = before;
}

int skein_signals_write(int descriptor, const int *signals, size_t count) {
    signal_descriptor = descriptor;
    signal(SIGPIPE, SIG_IGN);  // A log that nobody reads any more ends nothing.
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = write_signal;
    action.sa_flags = SA_RESTART;
    sigfillset(&action.sa_mask);
    for (size_t index = 0; index < count; index++) {
        if (sigaction(signals[index], &action, NULL) != 0) return errno;
    }
    return 0;
}

void skein_set_title(int count, char *const *arguments, const char *title) {
    if (count < 1 || !arguments[0]) return;
#ifdef __linux__
    // The arguments lie one behind the other; what is behind the last is the environment, which stays.
    char *start = arguments[0];
    char *end = start + strlen(start) + 1;
    for (int index = 1; index < count && arguments[index] == end; index++) end += strlen(end) + 1;
    size_t room = (size_t)(end - start);
    size_t length = strlen(title);
    if (length > room - 1) length = room - 1;
    memcpy(start, title, length);
    memset(start + length, 0, room - length);
    prctl(PR_SET_NAME, title, 0, 0, 0);
#else
    (void)title;
#endif
}

int64_t skein_thread(void) {
    sigset_t abort;
    sigemptyset(&abort);
    sigaddset(&abort, SIGABRT);
    pthread_sigmask(SIG_UNBLOCK, &abort, NULL);
    // A handler needs another stack where this one is full.
    static __thread bool has_stack = false;
    if (!has_stack) {
        has_stack = true;
        stack_t alternative = {.ss_size = 64 << 10};
        alternative.ss_sp = malloc(alternative.ss_size);
        if (alternative.ss_sp) sigaltstack(&alternative, NULL);
    }
#ifdef __linux__
    return syscall(SYS_gettid);
#else
    return 0;
#endif
}

void skein_signal_thread(pid_t pid, int64_t thread, int signal) {
#ifdef __linux__
    if (thread > 0 && syscall(SYS_tgkill, pid, (pid_t)thread, signal) == 0) return;
#endif
    kill(pid, signal);
}

pid_t skein_reap(int *status) {
    pid_t pid;
    do pid = waitpid(-1, status, WNOHANG);
    while (pid < 0 && errno == EINTR);
    return pid > 0 ? pid : 0;
}

pid_t skein_ended_process(const void *facts) { return ((const siginfo_t *)facts)->si_pid; }

bool skein_has_exited(int status, int *code, int *signal) {
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    *signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return WIFEXITED(status) || WIFSIGNALED(status);
}

// Threads that libdispatch has parked are not among those that the C library changes; they change themselves in a handler.
static uid_t wanted_user;
static gid_t wanted_group;
static gid_t wanted_groups[256];
static int wanted_count;

#ifdef __linux__
static void change_thread(int number) {
    (void)number;
    int before = errno;
    // Results are seen in /proc; a thread that is changed already is refused, and stays as it is.
    syscall(SYS_setgroups, wanted_count, wanted_groups);
    syscall(SYS_setresgid, wanted_group, wanted_group, wanted_group);
    syscall(SYS_setresuid, wanted_user, wanted_user, wanted_user);
    errno = before;
}

static bool is_changed(const char *thread) {
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno == ENOENT || errno == ESRCH;  // It has ended.
    ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    if (count <= 0) return false;
    text[count] = 0;
    unsigned ids[8];
    const char *users = strstr(text, "\nUid:"), *groups = strstr(text, "\nGid:");
    if (!users || sscanf(users, "\nUid: %u %u %u %u", ids, ids + 1, ids + 2, ids + 3) != 4) return false;
    if (!groups || sscanf(groups, "\nGid: %u %u %u %u", ids + 4, ids + 5, ids + 6, ids + 7) != 4) return false;
    for (int index = 0; index < 4; index++) {
        if (ids[index] != wanted_user || ids[4 + index] != wanted_group) return false;
    }
    return true;
}

static int change_all_threads(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = change_thread;
    int number = SIGRTMIN + 5;
    if (sigaction(number, &action, NULL) != 0) return errno;
    int result = EPERM;
    // Twice: a thread may have started another one before it was changed.
    for (int round = 0, clean = 0; round < 200 && clean < 2; round++) {
        DIR *threads = opendir("/proc/self/task");
        if (!threads) {
            result = errno;
            break;
        }
        result = 0;
        struct dirent *thread;
        while ((thread = readdir(threads))) {
            if (thread->d_name[0] == '.' || is_changed(thread->d_name)) continue;
            result = EPERM;
            syscall(SYS_tgkill, getpid(), atoi(thread->d_name), number);
        }
        closedir(threads);
        clean = result == 0 ? clean + 1 : 0;
        if (result != 0) usleep(5000);
    }
    // A second signal may be on its way to a thread that is changed already.
    action.sa_handler = SIG_IGN;
    sigaction(number, &action, NULL);
    return result;
}
#endif

int skein_set_user(uid_t user, gid_t group, const char *name) {
    // Groups first: afterwards it would not be allowed any more.
    if (name ? initgroups(name, group) != 0 : setgroups(1, &group) != 0) return errno;
    wanted_user = user;
    wanted_group = group;
    wanted_count = getgroups(sizeof wanted_groups / sizeof *wanted_groups, wanted_groups);
    if (wanted_count < 0) return errno;
    if (setgid(group) != 0) return errno;
    if (setuid(user) != 0) return errno;
    if (user != 0 && setuid(0) == 0) return EPERM;
#ifdef __linux__
    int error = change_all_threads();
    if (error) return error;
    // A program that was started by root, and is not root any more, cannot be looked into otherwise, by its own master neither.
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
#endif
    return 0;
}
