// Processes: how they are started, named and ended.
#define _GNU_SOURCE
#include "CSkeinWorkers.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <spawn.h>
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

bool skein_has_exited(int status, int *code, int *signal) {
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    *signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return WIFEXITED(status) || WIFSIGNALED(status);
}

int skein_set_user(uid_t user, gid_t group, const char *name) {
    // Groups first: afterwards it would not be allowed any more.
    if (name ? initgroups(name, group) != 0 : setgroups(1, &group) != 0) return errno;
    if (setgid(group) != 0) return errno;
    if (setuid(user) != 0) return errno;
    if (user != 0 && setuid(0) == 0) return EPERM;
#ifdef __linux__
    // A program that was started by root, and is not root any more, cannot be looked into otherwise, by its own master neither.
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
#endif
    return 0;
}
