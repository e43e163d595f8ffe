// Finds CPython's functions in its library, and begins the interpreter.

#include "CSkeinPython.h"

#include <dlfcn.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>

skein_python_library skein_python;

static bool is_forked;
static _Thread_local void *current;

void *skein_python_current(void) { return current; }
void skein_python_set_current(void *value) { current = value; }

// A child has its own life: signals that the engine's threads block or ignore are for the engine.
static void forked(void) {
    is_forked = true;
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (number == SIGPIPE || sigaction(number, NULL, &action) != 0) continue;
        if (!(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_IGN) signal(number, SIG_DFL);
    }
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

bool skein_python_is_forked(void) { return is_forked; }

const char *skein_python_open(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!library) return dlerror();
#define FIND(result, name, parameters, arguments) \
    if (!(skein_python.name = (result(*) parameters)dlsym(library, #name))) return #name;
    SKEIN_PYTHON_FUNCTIONS(FIND)
#undef FIND
#define FIND(name) \
    if (!(skein_python.name = (PyObject *)dlsym(library, #name))) return #name;
    SKEIN_PYTHON_OBJECTS(FIND)
#undef FIND
    // Text of files and of the system is UTF-8, whatever the locale of a service is.
    int *utf8 = (int *)dlsym(library, "Py_UTF8Mode");
    if (utf8) *utf8 = 1;
    return NULL;
}

const char *skein_python_begin(const char *executable) {
    setlocale(LC_CTYPE, "");
    wchar_t *name = Py_DecodeLocale(executable, NULL);
    if (!name) return "the path of the Python program cannot be read";
    Py_SetProgramName(name);  // keeps the text
    Py_InitializeEx(0);
    // Exceptions are variables of the library, which have values only now.
#define FIND(name) \
    { \
        PyObject **variable = (PyObject **)dlsym(RTLD_DEFAULT, #name); \
        if (!variable || !*variable) return #name; \
        skein_python.name = *variable; \
    }
    SKEIN_PYTHON_EXCEPTIONS(FIND)
#undef FIND
    PyObject *text = PyUnicode_FromStringAndSize("", 0);
    if (!text) return "the interpreter has no memory";
    size_t offset = 0;
    while (offset < 8 * sizeof(void *) && *(void **)((char *)text + offset) != skein_python.PyUnicode_Type) offset += sizeof(void *);
    Py_DecRef(text);
    if (offset == 8 * sizeof(void *)) return "objects of this Python have an unknown form";
    skein_python.type_offset = offset;
    pthread_atfork(NULL, NULL, forked);
    return NULL;
}
