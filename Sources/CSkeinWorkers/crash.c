// What a process says when it crashes. A handler may call nothing that takes a lock which the crashed thread could hold.
#define _GNU_SOURCE
#include "CSkeinWorkers.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__GLIBC__) || defined(__APPLE__)
#include <execinfo.h>
#define HAS_BACKTRACE 1
#endif

static int report = -1;
static const skein_record *requests = NULL;

static void say(const char *text) {
    ssize_t written = write(report, text, strlen(text));
    (void)written;
}

static void say_number(uint64_t number, int base) {
    char digits[24];
    int index = sizeof digits;
    digits[--index] = 0;
    do digits[--index] = "0123456789abcdef"[number % (unsigned)base];
    while ((number /= (unsigned)base) > 0 && index > 0);
    say(digits + index);
}

static void say_requests(void) {
    bool found = false;
    for (int shard = 0; requests && shard < SKEIN_SHARDS; shard++) {
        for (int index = 0; index < SKEIN_UNDER_WAY; index++) {
            const skein_request *request = &requests->under_way[shard][index];
            uint64_t number = __atomic_load_n(&request->number, __ATOMIC_RELAXED);
            if (number == 0) continue;
            say(found ? " " : "under way: ");
            found = true;
            if (request->transaction[0]) {
                size_t length = strnlen(request->transaction, sizeof request->transaction);
                ssize_t written = write(report, request->transaction, length);
                (void)written;
            } else {
                say("GTID-C");
                say_number(number >> 32, 10);
                say("-R");
                say_number(number & 0xffffffffu, 10);
            }
        }
    }
    if (found) say("\n");
}

static void crashed(int number, siginfo_t *facts, void *context) {
    (void)context;
    static volatile sig_atomic_t entered = 0;
    if (!__atomic_exchange_n(&entered, 1, __ATOMIC_ACQ_REL)) {
        say("signal ");
        say_number((uint64_t)number, 10);
        if (number == SIGSEGV || number == SIGBUS) {
            say(" at address 0x");
            say_number((uint64_t)(uintptr_t)facts->si_addr, 16);
        }
        say("\n");
        say_requests();
#ifdef HAS_BACKTRACE
        void *frames[64];
        int count = backtrace(frames, 64);
        if (count > 2) backtrace_symbols_fd(frames + 2, count - 2, report);
#endif
    }
    // The handler is gone by now (SA_RESETHAND), so this ends the process as it would have ended without one.
    raise(number);
}

void skein_report_crashes(int descriptor, const skein_record *record) {
    report = descriptor;
    requests = record;
#ifdef HAS_BACKTRACE
    void *frame[1];
    backtrace(frame, 1);  // Loads what it needs, which a handler could not.
#endif
    static char stack[64 << 10];
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternative, NULL);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = crashed;
    action.sa_flags = SA_SIGINFO | SA_RESETHAND | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
    for (size_t index = 0; index < sizeof signals / sizeof *signals; index++) sigaction(signals[index], &action, NULL);
}

typedef char *(*demangler)(const char *, size_t, char *, size_t *, uint32_t);

char *skein_demangle(const char *name, size_t length) {
    demangler demangle = (demangler)dlsym(RTLD_DEFAULT, "swift_demangle");
    return demangle ? demangle(name, length, NULL, NULL, 0) : NULL;
}
