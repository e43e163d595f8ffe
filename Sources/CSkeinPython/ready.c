// An awaitable that is done already. What an application awaits of a server is there nearly always, and a future for it would cost a turn
// of the event loop.

#include "CSkeinPython.h"

#include <stddef.h>

// Numbers of slots and flags of the stable ABI (typeslots.h, object.h).
enum { AM_AWAIT = 77, TP_DEALLOC = 52, TP_ITER = 62, TP_ITERNEXT = 63, TP_METHODS = 64 };
enum { METH_VARARGS = 1, METH_NOARGS = 4, METH_O = 8 };

typedef struct {
    int slot;
    void *function;
} type_slot;

typedef struct {
    const char *name;
    int basicsize;
    int itemsize;
    unsigned int flags;
    type_slot *slots;
} type_spec;

static PyObject *type;
static size_t payload;

static PyObject **value_of(PyObject *self) { return (PyObject **)((char *)self + payload); }

static PyObject *itself(PyObject *self) {
    Py_IncRef(self);
    return self;
}

static PyObject *next(PyObject *self) {
    PyObject *value = *value_of(self);
    if (value) {
        *value_of(self) = NULL;
        PyErr_SetObject(skein_python.PyExc_StopIteration, value);
        Py_DecRef(value);
    }
    return NULL;
}

static void dealloc(PyObject *self) {
    PyObject *own = skein_py_type(self);
    Py_DecRef(*value_of(self));
    PyObject_Free(self);
    Py_DecRef(own);
}

// What makes a coroutine of it, for those that give it to a task.

static PyObject *send_value(PyObject *self, PyObject *value) {
    (void)value;
    next(self);
    if (!PyErr_Occurred()) PyErr_SetObject(skein_python.PyExc_StopIteration, skein_python._Py_NoneStruct);
    return NULL;
}

static PyObject *throw_error(PyObject *self, PyObject *arguments) {
    (void)self;
    PyObject *error = PyTuple_GetItem(arguments, 0);
    if (!error) return NULL;
    if (PyObject_IsInstance(error, skein_python.PyExc_BaseException) == 1) {
        PyErr_SetObject(skein_py_type(error), error);
    } else {
        PyErr_SetObject(error, PyTuple_Size(arguments) > 1 ? PyTuple_GetItem(arguments, 1) : skein_python._Py_NoneStruct);
    }
    return NULL;
}

static PyObject *end(PyObject *self, PyObject *none) {
    (void)self;
    (void)none;
    return skein_py_none();
}

static PyMethodDef methods[] = {
    {"send", (void *)send_value, METH_O, NULL}, {"throw", (void *)throw_error, METH_VARARGS, NULL},
    {"close", (void *)end, METH_NOARGS, NULL},
    {0},
};

static type_slot slots[] = {
    {TP_METHODS, methods},
    {AM_AWAIT, (void *)itself}, {TP_DEALLOC, (void *)dealloc}, {TP_ITER, (void *)itself}, {TP_ITERNEXT, (void *)next}, {0, NULL},
};

static bool make_type(void) {
    // The size of an object's head differs between builds; ours follows it.
    PyObject *object = PyObject_GetAttrString(skein_python.PyExc_BaseException, "__mro__");
    if (!object) return false;
    PyObject *root = PyTuple_GetItem(object, PyTuple_Size(object) - 1);
    PyObject *size = root ? PyObject_GetAttrString(root, "__basicsize__") : NULL;
    Py_DecRef(object);
    if (!size) return false;
    payload = (size_t)PyLong_AsLongLong(size);
    Py_DecRef(size);
    type_spec spec = {"skein.Ready", (int)(payload + sizeof(PyObject *)), 0, 0, slots};
    type = PyType_FromSpec(&spec);
    return type != NULL;
}

PyObject *skein_py_ready(PyObject *value) {
    if (!type && !make_type()) {
        Py_DecRef(value);
        return NULL;
    }
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (!self) {
        Py_DecRef(value);
        return NULL;
    }
    *value_of(self) = value;
    return self;
}
