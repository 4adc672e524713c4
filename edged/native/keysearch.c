/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of many PMKs made the MIC of a message 2, or the PMKR1Name in it, and PMKs from passphrases, several at a time in the lanes of vectors.
 *
 * The Python twin is keysearch.py beside it, which also says what each call takes. IEEE 802.11-2020 12.7.1 and J.4.
 *
 * Why it is fast: the states of each PMK's HMAC are computed once, when the keyring is made; the blocks of the
 * messages, the same for every candidate, are expanded once a search; the kernels of keysearch.h are compiled for the
 * instructions of several machines and one is chosen when it runs. The interpreter is let go of during the work.
 *
 * Every length is checked where it comes in. No branch and no address depends on a key, but for the one that is found.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    PMK = 32,
    PASSPHRASE = 64, /* octets of a passphrase, zeros behind it: an HMAC key of one block */
    SSID = 32,
    OCTETS = 1024, /* of the longest frame or message */
    BLOCKS = (64 + OCTETS + 9 + 63) / 64,
    MESSAGES = 3,
    NAME = 16,
    LABEL = 6,
    BEHIND_NAME = 64 - 9 - LABEL - NAME, /* octets in the one block that is hashed to a name */
    CANDIDATES = 16, /* side by side in memory: the widest vector */
    ALIGNED = 64,    /* octets, as the widest vector */
    MISS = -1,
};

enum { PSK_MD5, PSK_SHA1, PSK_SHA256, FT_PSK, FT_NAME, SUITES };

typedef struct {
    int words;
    uint32_t end; /* the bit behind a message, as a word */
    int length_at; /* word of a block that has the length in bits */
    uint32_t initial[8];
} Hash;

static const Hash MD5 = {4, 0x80, 14, {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
static const Hash SHA1 = {5, 0x80000000, 15, {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
static const Hash SHA256 = {8, 0x80000000, 15,
                            {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
                             0x5be0cd19}};

static const uint32_t SHA256_K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
static const uint32_t MD5_K[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
static const uint8_t MD5_SHIFTS[16] = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};

#define SHA1_K(i) ((i) < 20 ? 0x5a827999u : (i) < 40 ? 0x6ed9eba1u : (i) < 60 ? 0x8f1bbcdcu : 0xca62c1d6u)
#define MD5_SHIFT(i) MD5_SHIFTS[(i) / 16 * 4 + (i) % 4]
#define MD5_WORD(i) ((i) < 16 ? (i) : (i) < 32 ? (5 * (i) + 1) % 16 : (i) < 48 ? (3 * (i) + 5) % 16 : 7 * (i) % 16)

/* What follows one padded key, expanded: of each block the words of all rounds, their constants added. */
typedef struct {
    int blocks;
    uint32_t words[BLOCKS][80];
} Message;

typedef struct {
    int suite;
    const void *states;
    size_t start, stop;
    Message messages[MESSAGES + 1]; /* the last is the frame, where HMAC is its MIC */
    uint32_t names[2][16]; /* the blocks of PMKR0Name and PMKR1Name without what a candidate puts into them */
    uint8_t frame[OCTETS];
    size_t frame_length;
    uint8_t mic_octets[16];
    uint32_t mic[4];
} Search;

typedef struct {
    const char *name;
    size_t scratch;
    void (*derive)(const uint8_t *, size_t, const Message *, uint8_t *);
    void (*prepare)(const Hash *, const uint8_t *, size_t, uint32_t *);
    ptrdiff_t (*search)(const Search *, void *);
} Kernel;

static uint32_t big_endian(const uint8_t *octets)
{
    return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 | octets[3];
}

static void to_big_endian(uint8_t *octets, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        octets[i] = (uint8_t)(word >> (24 - 8 * i));
}

static uint32_t swapped(uint32_t word)
{
    return word << 24 | (word & 0xff00) << 8 | (word >> 8 & 0xff00) | word >> 24;
}

static size_t padded(size_t count) { return (count + CANDIDATES - 1) / CANDIDATES * CANDIDATES; }

/* Word `number` of the states of candidate `at`; CANDIDATES of them side by side. */
static uint32_t *place(uint32_t *states, const Hash *hash, size_t at, int number)
{
    size_t block = at / CANDIDATES * 2 * (size_t)hash->words;
    return states + (block + (size_t)number) * CANDIDATES + at % CANDIDATES;
}

#define INLINE inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL(n) _Pragma("clang loop unroll(full)")
#else
#define PRAGMA(text) _Pragma(#text)
#define UNROLL(n) PRAGMA(GCC unroll n)
#endif

#ifdef __x86_64__
#define KERNEL "avx512"
#define LANES 16
#define TARGET __attribute__((target("avx512f,avx512vl,avx512bw")))
#define F(name) name##_avx512
#include "keysearch.h"

#define KERNEL "avx2"
#define LANES 8
#define TARGET __attribute__((target("avx2")))
#define F(name) name##_avx2
#include "keysearch.h"
#endif

/* SSE2 is in every x86-64, NEON in every AArch64 */
#define KERNEL "plain"
#define LANES 4
#define TARGET
#define F(name) name##_plain
#include "keysearch.h"

static int runs(const Kernel *kernel)
{
#ifdef __x86_64__
    if (kernel == &kernel_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw");
    if (kernel == &kernel_avx2)
        return __builtin_cpu_supports("avx2") != 0;
#endif
    return kernel == &kernel_plain;
}

static const Kernel *const kernels[] = {
#ifdef __x86_64__
    &kernel_avx512, &kernel_avx2,
#endif
    &kernel_plain};

static const Kernel *kernel_called(const char *name)
{
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (!strcmp(kernels[i]->name, name) && runs(kernels[i]))
            return kernels[i];
    PyErr_Format(PyExc_ValueError, "no kernel %s on this machine", name);
    return NULL;
}

static void expand_block(const Hash *hash, const uint8_t *octets, uint32_t *words)
{
    uint32_t w[80];
    for (int i = 0; i < 16; i++)
        w[i] = hash == &MD5 ? swapped(big_endian(octets + 4 * i)) : big_endian(octets + 4 * i);
#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))
    for (int i = 16; i < 80; i++)
        w[i] = hash == &SHA1 ? ROR(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 31)
                             : w[i - 16] + w[i - 7] + (ROR(w[i - 15], 7) ^ ROR(w[i - 15], 18) ^ w[i - 15] >> 3) +
                                   (ROR(w[i - 2], 17) ^ ROR(w[i - 2], 19) ^ w[i - 2] >> 10);
#undef ROR
    for (int i = 0; i < (hash == &SHA1 ? 80 : 64); i++)
        words[i] = hash == &SHA1 ? w[i] + SHA1_K(i) : hash == &SHA256 ? w[i] + SHA256_K[i] : w[MD5_WORD(i)] + MD5_K[i];
}

/* `length` is at most OCTETS. */
static void expand(const Hash *hash, const uint8_t *octets, size_t length, Message *message)
{
    uint8_t padded[BLOCKS * 64] = {0};
    if (length)
        memcpy(padded, octets, length);
    padded[length] = 0x80;
    message->blocks = (int)((length + 9 + 63) / 64);
    uint64_t bits = (64 + (uint64_t)length) * 8;
    for (int i = 0; i < 8; i++)
        padded[message->blocks * 64 - 1 - i] = (uint8_t)(bits >> (hash == &MD5 ? 8 * (7 - i) : 8 * i));
    for (int i = 0; i < message->blocks; i++)
        expand_block(hash, padded + i * 64, message->words[i]);
}

/* What is hashed to a name, NAME zeros where a candidate's octets go; `length` is at most BEHIND_NAME. */
static void name_block(uint32_t *block, const char *label, const uint8_t *behind, size_t length)
{
    uint8_t octets[64] = {0};
    size_t whole = LABEL + NAME + length;
    memcpy(octets, label, LABEL);
    if (length)
        memcpy(octets + LABEL + NAME, behind, length);
    octets[whole] = 0x80;
    octets[62] = (uint8_t)(whole * 8 >> 8);
    octets[63] = (uint8_t)(whole * 8);
    for (int i = 0; i < 16; i++)
        block[i] = big_endian(octets + 4 * i);
}

/* derive(kernel, passphrases, ssid): PASSPHRASE octets each in, PMK octets each out. */
static PyObject *derive(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *name;
    Py_buffer given, ssid;
    if (!PyArg_ParseTuple(args, "sy*y*", &name, &given, &ssid))
        return NULL;
    PyObject *made = NULL;
    const Kernel *kernel = kernel_called(name);
    size_t count = (size_t)given.len / PASSPHRASE;
    if (kernel && (given.len % PASSPHRASE || ssid.len > SSID))
        PyErr_SetString(PyExc_ValueError, "passphrases of 64 octets, an SSID of 32 at most");
    else if (kernel && (made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * PMK)))) {
        Message salts[2];
        for (uint8_t part = 0; part < 2; part++) {
            uint8_t salt[SSID + 4] = {0};
            if (ssid.len)
                memcpy(salt, ssid.buf, (size_t)ssid.len);
            salt[ssid.len + 3] = part + 1;
            expand(&SHA1, salt, (size_t)ssid.len + 4, &salts[part]);
        }
        uint8_t *pmks = (uint8_t *)PyBytes_AsString(made);
        Py_BEGIN_ALLOW_THREADS
        kernel->derive(given.buf, count, salts, pmks);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&given);
    PyBuffer_Release(&ssid);
    return made;
}

/* prepare(kernel, suite, pmks): the states of HMAC under each PMK, as `search` takes them for that suite. */
static PyObject *prepare(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *name;
    int suite;
    Py_buffer pmks;
    if (!PyArg_ParseTuple(args, "siy*", &name, &suite, &pmks))
        return NULL;
    PyObject *made = NULL;
    const Kernel *kernel = kernel_called(name);
    const Hash *hash = suite < PSK_SHA256 ? &SHA1 : &SHA256;
    size_t count = (size_t)pmks.len / PMK;
    Py_ssize_t size = (Py_ssize_t)(padded(count) * 2 * (size_t)hash->words * 4);
    if (kernel && (pmks.len % PMK || suite < 0 || suite >= SUITES))
        PyErr_SetString(PyExc_ValueError, "PMKs of 32 octets, for a suite");
    else if (kernel && (made = PyBytes_FromStringAndSize(NULL, size))) {
        uint32_t *states = (uint32_t *)PyBytes_AsString(made);
        Py_BEGIN_ALLOW_THREADS
        kernel->prepare(hash, pmks.buf, count, states);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&pmks);
    return made;
}

static int read_messages(Search *search, PyObject *messages)
{
    const Hash *hash = search->suite < PSK_SHA256 ? &SHA1 : &SHA256;
    int wanted = search->suite == FT_PSK ? MESSAGES : 1;
    if (PyTuple_Size(messages) != wanted)
        return PyErr_Occurred() ? -1 : (PyErr_SetString(PyExc_ValueError, "so many messages no suite has"), -1);
    for (int i = 0; i < wanted; i++) {
        char *octets;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(messages, i), &octets, &length))
            return -1;
        if (length > OCTETS)
            return PyErr_SetString(PyExc_ValueError, "a message is too long"), -1;
        expand(hash, (const uint8_t *)octets, (size_t)length, &search->messages[i]);
    }
    return 0;
}

static PyObject *run(const Kernel *kernel, Search *search, const Py_buffer *states, const Py_buffer *frame,
                     const Py_buffer *mic)
{
    const Hash *hash = search->suite < PSK_SHA256 ? &SHA1 : &SHA256;
    size_t held = (size_t)states->len / (2 * (size_t)hash->words * 4);
    if (search->start > search->stop || search->stop > held || held % CANDIDATES)
        return PyErr_Format(PyExc_ValueError, "not so many states");
    if (frame->len > (search->suite == FT_NAME ? BEHIND_NAME : OCTETS) || mic->len != sizeof search->mic_octets)
        return PyErr_Format(PyExc_ValueError, "the frame is too long, or the MIC has not 16 octets");
    search->states = states->buf;
    search->frame_length = (size_t)frame->len;
    if (frame->len)
        memcpy(search->frame, frame->buf, (size_t)frame->len);
    memcpy(search->mic_octets, mic->buf, sizeof search->mic_octets);
    for (int i = 0; i < 4; i++) {
        uint32_t word = big_endian(search->mic_octets + 4 * i);
        search->mic[i] = search->suite == PSK_MD5 ? swapped(word) : word;
    }
    if (search->suite < PSK_SHA256)
        expand(search->suite == PSK_MD5 ? &MD5 : &SHA1, search->frame, search->frame_length, &search->messages[3]);
    if (search->suite == FT_NAME) {
        name_block(search->names[0], "FT-R0N", NULL, 0);
        name_block(search->names[1], "FT-R1N", search->frame, search->frame_length);
    }
    uint8_t *scratch = PyMem_Malloc(kernel->scratch + ALIGNED);
    if (!scratch)
        return PyErr_NoMemory();
    size_t before = ALIGNED - (uintptr_t)scratch % ALIGNED;
    ptrdiff_t found;
    Py_BEGIN_ALLOW_THREADS
    found = kernel->search(search, scratch + before);
    Py_END_ALLOW_THREADS
    PyMem_Free(scratch);
    return PyLong_FromSsize_t(found);
}

/* search(kernel, suite, states, start, stop, messages, frame, mic): a place, or MISS. */
static PyObject *find(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *name;
    int suite;
    Py_ssize_t start, stop;
    PyObject *messages;
    Py_buffer states, frame, mic;
    if (!PyArg_ParseTuple(args, "siy*nnOy*y*", &name, &suite, &states, &start, &stop, &messages, &frame, &mic))
        return NULL;
    PyObject *found = NULL;
    const Kernel *kernel = kernel_called(name);
    Search *search = PyMem_Calloc(1, sizeof *search);
    if (kernel && !search)
        PyErr_NoMemory();
    else if (kernel && (suite < 0 || suite >= SUITES || start < 0 || stop < 0))
        PyErr_SetString(PyExc_ValueError, "no such suite or place");
    else if (kernel) {
        search->suite = suite;
        search->start = (size_t)start;
        search->stop = (size_t)stop;
        if (!read_messages(search, messages))
            found = run(kernel, search, &states, &frame, &mic);
    }
    PyMem_Free(search);
    PyBuffer_Release(&states);
    PyBuffer_Release(&frame);
    PyBuffer_Release(&mic);
    return found;
}

static PyMethodDef methods[] = {
    {"derive", derive, METH_VARARGS, NULL},
    {"prepare", prepare, METH_VARARGS, NULL},
    {"search", find, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* KERNELS: the names of those that run here, the widest first. */
static int populate(PyObject *module)
{
    PyObject *names = PyList_New(0);
    for (size_t i = 0; names && i < sizeof kernels / sizeof *kernels; i++) {
        PyObject *name = runs(kernels[i]) ? PyUnicode_FromString(kernels[i]->name) : NULL;
        if (name ? PyList_Append(names, name) : PyErr_Occurred() != NULL)
            Py_CLEAR(names);
        Py_XDECREF(name);
    }
    int failed = !names || PyModule_AddObjectRef(module, "KERNELS", names);
    Py_XDECREF(names);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, populate}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_keysearch", .m_doc = "See keysearch.py.", .m_methods = methods,
    .m_slots = module_slots};

PyMODINIT_FUNC PyInit__keysearch(void) { return PyModuleDef_Init(&definition); }
