// CPython's functions, found at run time in the library of whichever Python the apps are for. Nothing is linked, and no header of Python
// is needed: all that is used is of the stable ABI (PEP 384) or has been exported unchanged since 3.9, and no layout is assumed but those
// that the stable ABI fixes. So one program serves with Python 3.9 to 3.13; where a free-threaded build differs, it is asked.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <wchar.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma clang assume_nonnull begin
// Pointers inside of function types are not reached by the line above.
#pragma clang diagnostic ignored "-Wnullability-completeness"

// An object of Python; what is in it differs between versions.
typedef struct skein_py_object PyObject;
typedef struct skein_py_thread PyThreadState;

// A method in the form that PyCFunction_NewEx takes (stable ABI).
typedef struct {
    const char *ml_name;
    void *ml_meth;
    int ml_flags;
    const char *_Nullable ml_doc;
} PyMethodDef;

// The buffer protocol's view (stable since 3.11, and the same in all versions before).
typedef struct {
    void *_Nullable buf;
    PyObject *_Nullable obj;
    ssize_t len;
    ssize_t itemsize;
    int readonly;
    int ndim;
    char *_Nullable format;
    ssize_t *_Nullable shape;
    ssize_t *_Nullable strides;
    ssize_t *_Nullable suboffsets;
    void *_Nullable internal;
} Py_buffer;

typedef void (*skein_py_destructor)(PyObject *);

// The positional and the keyword arguments' count as METH_FASTCALL has them.
enum {
    SKEIN_METH_VARARGS = 1,
    SKEIN_METH_FASTCALL = 0x80,
    SKEIN_METH_KEYWORDS = 2,
};

// X(result, name, parameters, arguments): what every supported version has.
#define SKEIN_PYTHON_FUNCTIONS(X) \
    X(void, Py_SetProgramName, (const wchar_t *name), (name)) \
    X(void, Py_InitializeEx, (int signals), (signals)) \
    X(wchar_t *_Nullable, Py_DecodeLocale, (const char *text, size_t *_Nullable size), (text, size)) \
    X(const char *, Py_GetVersion, (void), ()) \
    X(PyThreadState *, PyEval_SaveThread, (void), ()) \
    X(void, PyEval_RestoreThread, (PyThreadState *state), (state)) \
    X(int, PyGILState_Ensure, (void), ()) \
    X(void, PyGILState_Release, (int state), (state)) \
    X(int, PyGILState_Check, (void), ()) \
    X(void, Py_IncRef, (PyObject *_Nullable object), (object)) \
    X(void, Py_DecRef, (PyObject *_Nullable object), (object)) \
    X(PyObject *_Nullable, Py_CompileString, (const char *source, const char *file, int start), (source, file, start)) \
    X(PyObject *_Nullable, PyEval_EvalCode, (PyObject *code, PyObject *globals, PyObject *locals), (code, globals, locals)) \
    X(PyObject *_Nullable, PyImport_ImportModule, (const char *name), (name)) \
    X(PyObject *_Nullable, PyImport_AddModule, (const char *name), (name)) \
    X(PyObject *_Nullable, PyModule_GetDict, (PyObject *module), (module)) \
    X(PyObject *_Nullable, PyObject_GetAttrString, (PyObject *object, const char *name), (object, name)) \
    X(int, PyObject_SetAttrString, (PyObject *object, const char *name, PyObject *value), (object, name, value)) \
    X(PyObject *_Nullable, PyObject_VectorcallDict, \
        (PyObject *callable, PyObject *const _Nonnull *_Nullable arguments, size_t count, PyObject *_Nullable named), \
        (callable, arguments, count, named)) \
    X(PyObject *_Nullable, PyObject_Type, (PyObject *object), (object)) \
    X(PyObject *_Nullable, PyObject_Str, (PyObject *object), (object)) \
    X(PyObject *_Nullable, PyObject_Repr, (PyObject *object), (object)) \
    X(PyObject *_Nullable, PyObject_GetIter, (PyObject *object), (object)) \
    X(PyObject *_Nullable, PyIter_Next, (PyObject *iterator), (iterator)) \
    X(int, PyObject_IsTrue, (PyObject *object), (object)) \
    X(int, PyObject_IsInstance, (PyObject *object, PyObject *type), (object, type)) \
    X(int, PyObject_GetBuffer, (PyObject *object, Py_buffer *view, int flags), (object, view, flags)) \
    X(void, PyBuffer_Release, (Py_buffer *view), (view)) \
    X(ssize_t, PyObject_Size, (PyObject *object), (object)) \
    X(PyObject *_Nullable, PySequence_List, (PyObject *object), (object)) \
    X(unsigned long, PyType_GetFlags, (PyObject *type), (type)) \
    X(PyObject *_Nullable, PyType_FromSpec, (void *spec), (spec)) \
    X(PyObject *_Nullable, PyType_GenericAlloc, (PyObject *type, ssize_t count), (type, count)) \
    X(void, PyObject_Free, (void *memory), (memory)) \
    X(PyObject *_Nullable, PyUnicode_FromStringAndSize, (const char *_Nullable text, ssize_t size), (text, size)) \
    X(PyObject *_Nullable, PyUnicode_DecodeLatin1, (const char *_Nullable text, ssize_t size, const char *_Nullable errors), \
        (text, size, errors)) \
    X(PyObject *_Nullable, PyUnicode_DecodeUTF8, (const char *_Nullable text, ssize_t size, const char *_Nullable errors), \
        (text, size, errors)) \
    X(PyObject *_Nullable, PyUnicode_InternFromString, (const char *text), (text)) \
    X(PyObject *_Nullable, PyUnicode_AsLatin1String, (PyObject *text), (text)) \
    X(const char *_Nullable, PyUnicode_AsUTF8AndSize, (PyObject *text, ssize_t *size), (text, size)) \
    X(PyObject *_Nullable, PyUnicode_AsEncodedString, \
        (PyObject *text, const char *_Nullable encoding, const char *_Nullable errors), (text, encoding, errors)) \
    X(PyObject *_Nullable, PyBytes_FromStringAndSize, (const char *_Nullable bytes, ssize_t size), (bytes, size)) \
    X(int, PyBytes_AsStringAndSize, (PyObject *object, char *_Nullable *_Nonnull bytes, ssize_t *size), (object, bytes, size)) \
    X(PyObject *_Nullable, PyDict_New, (void), ()) \
    X(PyObject *_Nullable, PyDict_Copy, (PyObject *dictionary), (dictionary)) \
    X(int, PyDict_SetItem, (PyObject *dictionary, PyObject *key, PyObject *value), (dictionary, key, value)) \
    X(int, PyDict_SetItemString, (PyObject *dictionary, const char *key, PyObject *value), (dictionary, key, value)) \
    X(PyObject *_Nullable, PyDict_GetItemWithError, (PyObject *dictionary, PyObject *key), (dictionary, key)) \
    X(PyObject *_Nullable, PyDict_GetItemString, (PyObject *dictionary, const char *key), (dictionary, key)) \
    X(PyObject *_Nullable, PyList_New, (ssize_t count), (count)) \
    X(int, PyList_SetItem, (PyObject *list, ssize_t index, PyObject *_Nullable item), (list, index, item)) \
    X(int, PyList_Append, (PyObject *list, PyObject *item), (list, item)) \
    X(ssize_t, PyList_Size, (PyObject *list), (list)) \
    X(PyObject *_Nullable, PyList_GetItem, (PyObject *list, ssize_t index), (list, index)) \
    X(PyObject *_Nullable, PyTuple_New, (ssize_t count), (count)) \
    X(int, PyTuple_SetItem, (PyObject *tuple, ssize_t index, PyObject *_Nullable item), (tuple, index, item)) \
    X(ssize_t, PyTuple_Size, (PyObject *tuple), (tuple)) \
    X(PyObject *_Nullable, PyTuple_GetItem, (PyObject *tuple, ssize_t index), (tuple, index)) \
    X(PyObject *_Nullable, PyLong_FromLongLong, (long long value), (value)) \
    X(long long, PyLong_AsLongLong, (PyObject *object), (object)) \
    X(PyObject *_Nullable, PyFloat_FromDouble, (double value), (value)) \
    X(double, PyFloat_AsDouble, (PyObject *object), (object)) \
    X(PyObject *_Nullable, PyErr_Occurred, (void), ()) \
    X(void, PyErr_Clear, (void), ()) \
    X(void, PyErr_SetString, (PyObject *type, const char *message), (type, message)) \
    X(void, PyErr_SetObject, (PyObject *type, PyObject *value), (type, value)) \
    X(void, PyErr_Fetch, \
        (PyObject *_Nullable *_Nonnull type, PyObject *_Nullable *_Nonnull value, PyObject *_Nullable *_Nonnull trace), \
        (type, value, trace)) \
    X(void, PyErr_NormalizeException, \
        (PyObject *_Nullable *_Nonnull type, PyObject *_Nullable *_Nonnull value, PyObject *_Nullable *_Nonnull trace), \
        (type, value, trace)) \
    X(void, PyErr_Restore, (PyObject *_Nullable type, PyObject *_Nullable value, PyObject *_Nullable trace), \
        (type, value, trace)) \
    X(int, PyErr_GivenExceptionMatches, (PyObject *error, PyObject *type), (error, type)) \
    X(int, PyException_SetTraceback, (PyObject *error, PyObject *trace), (error, trace)) \
    X(PyObject *_Nullable, PyCapsule_New, \
        (void *pointer, const char *_Nullable name, skein_py_destructor _Nullable destructor), (pointer, name, destructor)) \
    X(void *_Nullable, PyCapsule_GetPointer, (PyObject *capsule, const char *_Nullable name), (capsule, name)) \
    X(PyObject *_Nullable, PyCFunction_NewEx, (PyMethodDef *definition, PyObject *_Nullable self, PyObject *_Nullable module), \
        (definition, self, module))

// Objects that the library exports.
#define SKEIN_PYTHON_OBJECTS(X) \
    X(_Py_NoneStruct) X(_Py_TrueStruct) X(_Py_FalseStruct) \
    X(PyBytes_Type) X(PyUnicode_Type) X(PyList_Type) X(PyTuple_Type) X(PyDict_Type) X(PyLong_Type) X(PyBool_Type) X(PyFloat_Type)

// Variables of the library that point to objects.
#define SKEIN_PYTHON_EXCEPTIONS(X) \
    X(PyExc_BaseException) X(PyExc_StopIteration) X(PyExc_TypeError) X(PyExc_ValueError) X(PyExc_RuntimeError) \
    X(PyExc_AssertionError) X(PyExc_OSError) X(PyExc_BrokenPipeError)

typedef struct {
#define SKEIN_FIELD(result, name, parameters, arguments) result (*_Nonnull name) parameters;
    SKEIN_PYTHON_FUNCTIONS(SKEIN_FIELD)
#undef SKEIN_FIELD
#define SKEIN_FIELD(name) PyObject *_Nonnull name;
    SKEIN_PYTHON_OBJECTS(SKEIN_FIELD)
    SKEIN_PYTHON_EXCEPTIONS(SKEIN_FIELD)
#undef SKEIN_FIELD
    // Where an object keeps its type, in bytes from its start; free-threaded builds have it elsewhere.
    size_t type_offset;
} skein_python_library;

// Filled by skein_python_open, before any of the functions below is called.
extern skein_python_library skein_python __attribute__((swift_attr("nonisolated(unsafe)")));

#define SKEIN_WRAPPER(result, name, parameters, arguments) \
    static inline result name parameters { return skein_python.name arguments; }
SKEIN_PYTHON_FUNCTIONS(SKEIN_WRAPPER)
#undef SKEIN_WRAPPER

// Opens the library at a path, with its symbols for the extension modules that will be loaded.
// Returns a name that is missing or what the loader says; NULL when all is well.
const char *_Nullable skein_python_open(const char *path);

// Begins the interpreter on this thread, which becomes Python's main thread, without handlers of signals; the thread has the lock then.
// executable: the path of the Python program, by which the environment is found.
// Returns what is wrong; NULL when all is well.
const char *_Nullable skein_python_begin(const char *executable);

// The type of an object; a borrowed reference.
static inline PyObject *skein_py_type(PyObject *object) {
    return *(PyObject **)((char *)object + skein_python.type_offset);
}

static inline PyObject *skein_py_none(void) {
    Py_IncRef(skein_python._Py_NoneStruct);
    return skein_python._Py_NoneStruct;
}

static inline PyObject *_Nullable skein_py_call(PyObject *callable, PyObject *const _Nonnull *_Nullable arguments, size_t count) {
    return PyObject_VectorcallDict(callable, arguments, count, NULL);
}

// An awaitable that is done: `await` gives its value at once, without a turn of the event loop. The reference to the value is taken over.
PyObject *_Nullable skein_py_ready(PyObject *_Nullable value);

// Whether this process was forked from the one that has begun the interpreter: its other threads are not there.
bool skein_python_is_forked(void);

// What this thread does for the engine.
void *_Nullable skein_python_current(void);
void skein_python_set_current(void *_Nullable current);

#pragma clang assume_nonnull end

#ifdef __cplusplus
}
#endif
