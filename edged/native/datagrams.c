/* SPDX-License-Identifier: Apache-2.0
 *
 * UDP sockets served outside the interpreter: the answers to blocked subscribers that are the same for every ordinary
 * name leave from here, everything else is queued for the caller.
 *
 * The Python twin is datagrams.py beside it, and the truth about every answer is edged/dns/sinkhole.py: what is sent
 * here was rendered there (edged/dns/ready.py), this file copies it behind the question. RFC 1035 4.1, RFC 6891 6.1,
 * recvmmsg(2), sendmmsg(2).
 *
 * Workers are threads that never touch a Python object. They read the tables under `tables`, for a batch at a time; the
 * interpreter writes them under the same lock. `sockets` is held while a socket is in use, so that none is closed under
 * a worker. `queue` guards what waits for the caller. A worker takes `sockets` before either of the others; the
 * interpreter takes them so, too, and holds the GIL meanwhile, which no worker asks for.
 *
 * Every length that comes from a packet is checked before it is used, and the work for one packet is bounded: 255
 * octets of name, one OPT record, PROBES places of a source. The queue is bounded; a full one drops, and counts.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH = 64,      /* datagrams a call of the kernel */
    DATAGRAM = 4096, /* octets of the largest query read */
    REPLY = 1232,    /* octets of the largest reply */
    PLAIN = 512,     /* the same, to a client without EDNS */
    CONTROL = 64,    /* room for one in6_pktinfo and its header */
    HEADER = 12,
    OPT = 11,      /* octets of an OPT record before its options */
    OPTIONS = 400, /* octets of them: not more than the 100 options that the caller reads */
    NAME = 255,
    LABELS = 127,
    TYPES = 256,
    ANSWERS = 8,
    KINDS = 16,
    VARIANTS = 3, /* without EDNS, with it, with DO */
    NO_ANSWER = 255,
    PROBES = 16,
    ASKERS = 1 << 17, /* places in the table of sources: twice the most that the caller remembers */
    WAITING = 8192,   /* datagrams queued for the caller, */
    OCTETS = 4 << 20, /* and the most octets of them */
    WORKERS = 16,
    PAUSE = 10, /* milliseconds after a socket could not be read: it stays readable */
};

/* What is counted: answers by kind, and these. */
enum { RATELIMITED = KINDS, UNSENDABLE, PORTLESS, UNREADABLE, CROWDED, COUNTS };

static const uint8_t MAPPED[12] = {[10] = 0xFF, [11] = 0xFF}; /* before an IPv4 address (RFC 4291 2.5.5.2) */

typedef struct {
    uint8_t address[16];
    double until;                /* epoch seconds */
    uint32_t subscriber, prefix; /* places in the table of rates */
    uint32_t generation;         /* not the present one: the place is free */
} Asker;

typedef struct {
    unsigned kind;
    uint8_t head[VARIANTS][HEADER - 2]; /* the header without its ID */
    uint8_t tail[VARIANTS][PLAIN];      /* all behind the question */
    size_t length[VARIANTS];            /* of the tail */
} Answer;

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} Peer;

typedef struct {
    alignas(struct cmsghdr) uint8_t octets[CONTROL];
} Control;

typedef struct {
    uint8_t in[DATAGRAM], out[REPLY];
    Control control; /* how the query came, then how its reply leaves */
    Peer peer;
    struct iovec in_part, out_part;
} Packet;

typedef struct Waiting {
    struct Waiting *next;
    int fd;
    Peer peer;
    Control control;
    size_t octets, length; /* of `control`, and of the datagram */
    uint8_t datagram[];
} Waiting;

/* Many read, or one writes. Readers pass the gate one by one, and a writer who waits has shut it: it is never starved. */
typedef struct {
    pthread_mutex_t gate;
    pthread_rwlock_t held;
} Lock;

struct Datagrams;

typedef struct {
    struct Datagrams *all;
    pthread_t thread;
    int epoll;
    struct mmsghdr in[BATCH], out[BATCH];
    Packet packets[BATCH];
    atomic_ulong counts[COUNTS]; /* 64 bits would need a library where a word has 32 */
} Worker;

typedef struct Datagrams {
    PyObject_HEAD
    Lock tables, sockets;
    uint64_t key;    /* of the hashes, which nobody outside can foretell without it */
    uint64_t *names; /* hashes of the names that have a rule of their own; 0: free */
    size_t mask;     /* places in `names`, a power of two, less one */
    Asker *askers;
    uint32_t generation;
    Answer answers[ANSWERS];
    uint8_t by_type[TYPES]; /* index of the answer, or NO_ANSWER */
    Py_buffer rates;        /* the second, then queries in it: uint32 a place */
    uint32_t per_subscriber, per_prefix;
    pthread_mutex_t queue;
    Waiting *first, **last;
    unsigned waiting;
    size_t octets; /* of all that waits */
    int ready, stop; /* eventfd: something waits; the workers shall end */
    unsigned held, started; /* workers, and those whose thread runs */
    Worker *workers[WORKERS];
} Datagrams;

/* Every bit of the result hangs on every bit of both (splitmix64's finaliser): addresses differ in few. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash ^= value;
    hash = (hash ^ hash >> 30) * 0xBF58476D1CE4E5B9u;
    hash = (hash ^ hash >> 27) * 0x94D049BB133111EBu;
    return hash ^ hash >> 31;
}

static void to_read(Lock *lock)
{
    pthread_mutex_lock(&lock->gate);
    pthread_rwlock_rdlock(&lock->held);
    pthread_mutex_unlock(&lock->gate);
}

static void to_write(Lock *lock)
{
    pthread_mutex_lock(&lock->gate);
    pthread_rwlock_wrlock(&lock->held);
    pthread_mutex_unlock(&lock->gate); /* whoever passes now waits for the writer's end */
}

static void let_go(Lock *lock) { pthread_rwlock_unlock(&lock->held); }

static uint16_t number(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

/* One label in lower case, hashed onto the hash of all to its right; never 0. */
static uint64_t hash_label(uint64_t hash, const uint8_t *label)
{
    for (size_t i = 0; i <= label[0]; i++) {
        uint8_t octet = label[i];
        hash = (hash ^ (octet >= 'A' && octet <= 'Z' ? octet + 32u : octet)) * 0x100000001B3u;
    }
    return hash ^ hash >> 32 ? hash ^ hash >> 32 : 1;
}

static int known(const Datagrams *self, uint64_t hash)
{
    for (size_t at = hash & self->mask; self->names[at]; at = (at + 1) & self->mask)
        if (self->names[at] == hash)
            return 1;
    return 0;
}

/* Where the labels of the name at `name` are: how many; -1: malformed, or longer than `room`. `octets`: its length. */
static int labels_of(const uint8_t *name, size_t room, const uint8_t *labels[LABELS], size_t *octets)
{
    int count = 0;
    size_t at = 0;
    for (; at < room && name[at]; at += 1 + name[at]) {
        if (name[at] > 63 || count == LABELS)
            return -1;
        labels[count++] = name + at;
    }
    *octets = at + 1;
    return at < room && at < NAME ? count : -1;
}

/* The octets of the name at `name`, or 0: malformed, of fewer than two labels, or with a rule of its own. */
static size_t plain_name(const Datagrams *self, const uint8_t *name, size_t room)
{
    const uint8_t *labels[LABELS];
    size_t octets;
    int count = labels_of(name, room, labels, &octets);
    if (count < 2 || known(self, hash_label(~self->key, labels[0])))
        return 0;
    for (uint64_t hash = self->key; count--;)
        if (known(self, hash = hash_label(hash, labels[count])))
            return 0;
    return octets;
}

/* What the OPT record at `opt` (the last of the message) allows: octets of a reply; 0: it is for the caller. */
static size_t edns_room(const uint8_t *opt, size_t room, int *variant)
{
    if (room < OPT || opt[0] || number(opt + 1) != 41 || opt[6])
        return 0;
    size_t at = OPT, end = OPT + number(opt + 9);
    if (end > room || end > OPT + OPTIONS)
        return 0;
    for (; at + 4 <= end; at += 4 + number(opt + at + 2))
        if (number(opt + at) == 10 /* a cookie */ || at + 4 + number(opt + at + 2) > end)
            return 0;
    *variant = opt[7] & 0x80 ? 2 : 1;
    size_t size = number(opt + 3);
    return at != end ? 0 : size < PLAIN ? PLAIN : size > REPLY ? REPLY : size;
}

static Asker *asker_of(const Datagrams *self, const uint8_t address[16], int fresh)
{
    uint64_t halves[2];
    memcpy(halves, address, sizeof halves);
    size_t at = mix(mix(self->key, halves[0]), halves[1]);
    for (int i = 0; i < PROBES; i++) {
        Asker *asker = &self->askers[(at + i) & (ASKERS - 1)];
        if (asker->generation != self->generation)
            return fresh ? asker : NULL;
        if (!memcmp(asker->address, address, 16))
            return asker;
    }
    return NULL;
}

static void address_of(const Peer *peer, uint8_t address[16])
{
    if (peer->any.sa_family == AF_INET6) {
        memcpy(address, &peer->v6.sin6_addr, 16);
        return;
    }
    memcpy(address, MAPPED, 12);
    memcpy(address + 12, &peer->v4.sin_addr, 4);
}

/* The reply to one query, written to `packet->out`: its octets; 0: it is for the caller; -1: dropped. */
static int answer(Worker *worker, Packet *packet, size_t length, double now)
{
    const Datagrams *self = worker->all;
    const uint8_t *query = packet->in;
    uint8_t address[16];
    address_of(&packet->peer, address);
    const Asker *asker = asker_of(self, address, 0);
    if (!asker || asker->until <= now)
        return 0;
    uint32_t *rates = self->rates.buf, *mine = &rates[asker->subscriber], *shared = &rates[asker->prefix];
    uint32_t count = __atomic_load_n(mine, __ATOMIC_RELAXED);
    if (count / 2 >= self->per_subscriber) {
        worker->counts[RATELIMITED]++;
        return -1;
    }
    if (count >= self->per_subscriber || __atomic_load_n(shared, __ATOMIC_RELAXED) >= self->per_prefix)
        return 0;
    /* a QUERY with one question, nothing else but an OPT */
    if (length < HEADER || query[2] & 0xF8 || number(query + 4) != 1 || number(query + 6) || number(query + 8) ||
        query[10] || query[11] > 1)
        return 0;
    size_t name = plain_name(self, query + HEADER, length - HEADER), end = HEADER + name + 4;
    if (!name || end > length || query[end - 4] || number(query + end - 2) != 1)
        return 0;
    unsigned index = self->by_type[query[end - 3]];
    int variant = 0;
    size_t room = query[11] ? edns_room(query + end, length - end, &variant) : PLAIN;
    if (index == NO_ANSWER || !room || end + self->answers[index].length[variant] > room)
        return 0;
    const Answer *found = &self->answers[index];
    uint8_t *reply = packet->out;
    memcpy(reply, query, end);
    memcpy(reply + 2, found->head[variant], HEADER - 2);
    reply[2] |= query[2] & 0x01; /* RD */
    reply[3] |= query[3] & 0x10; /* CD */
    memcpy(reply + end, found->tail[variant], found->length[variant]);
    __atomic_fetch_add(mine, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(shared, 1, __ATOMIC_RELAXED);
    worker->counts[found->kind]++;
    return (int)(end + found->length[variant]);
}

/* The control message that says where a query came to, made into the one that lets its reply leave from there. */
static void reply_from(struct msghdr *message)
{
    struct cmsghdr *came = CMSG_FIRSTHDR(message);
    if (came && came->cmsg_level == IPPROTO_IP && came->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(came), sizeof info);
        info = (struct in_pktinfo){.ipi_spec_dst = info.ipi_spec_dst};
        memcpy(CMSG_DATA(came), &info, sizeof info);
    } else if (came && came->cmsg_level == IPPROTO_IPV6 && came->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(came), sizeof info);
        if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
            info.ipi6_ifindex = 0;
        memcpy(CMSG_DATA(came), &info, sizeof info);
    } else
        message->msg_controllen = 0;
}

/* Leave `packet` to the caller. */
static void wait_for_caller(Worker *worker, int fd, const Packet *packet, const struct mmsghdr *in)
{
    Datagrams *self = worker->all;
    Waiting *item = NULL;
    size_t length = in->msg_len;
    pthread_mutex_lock(&self->queue);
    if (self->waiting < WAITING && self->octets < OCTETS && (item = malloc(sizeof *item + length))) {
        *item = (Waiting){.fd = fd, .peer = packet->peer, .control = packet->control,
                          .octets = in->msg_hdr.msg_controllen, .length = length};
        memcpy(item->datagram, packet->in, length);
        *self->last = item;
        self->last = &item->next;
        self->octets += length;
        if (!self->waiting++)
            eventfd_write(self->ready, 1);
    }
    pthread_mutex_unlock(&self->queue);
    if (!item)
        worker->counts[CROWDED]++;
}

static void send_all(Worker *worker, int fd, unsigned count)
{
    for (unsigned done = 0; done < count;) {
        int sent = sendmmsg(fd, worker->out + done, count - done, MSG_DONTWAIT);
        if (sent < 0)
            worker->counts[UNSENDABLE]++; /* a full queue, or a route that went away: this client asks again */
        done += sent > 0 ? (unsigned)sent : 1;
    }
}

/* The time; the first who sees a new second begins its counts. */
static double turn(Datagrams *self)
{
    struct timespec now;
    uint32_t *rates = self->rates.buf;
    clock_gettime(CLOCK_REALTIME, &now);
    if (__atomic_exchange_n(rates, (uint32_t)now.tv_sec, __ATOMIC_RELAXED) != (uint32_t)now.tv_sec)
        for (size_t i = 1; i < (size_t)self->rates.len / sizeof *rates; i++)
            __atomic_store_n(&rates[i], 0, __ATOMIC_RELAXED);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* One batch of `fd`: answer what is plain, queue the rest. -1: it cannot be read. */
static int batch(Worker *worker, int fd)
{
    Datagrams *self = worker->all;
    for (int i = 0; i < BATCH; i++) {
        worker->in[i].msg_hdr.msg_namelen = sizeof worker->packets[i].peer;
        worker->in[i].msg_hdr.msg_controllen = CONTROL;
    }
    int received = recvmmsg(fd, worker->in, BATCH, MSG_DONTWAIT, NULL), replies[BATCH];
    if (received < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return 0;
        worker->counts[UNREADABLE]++;
        return -1;
    }
    to_read(&self->tables);
    double now = turn(self);
    for (int i = 0; i < received; i++) {
        Packet *packet = &worker->packets[i];
        replies[i] = -1;
        if (!packet->peer.v4.sin_port) /* the same place in both families */
            worker->counts[PORTLESS]++;
        else
            replies[i] = answer(worker, packet, worker->in[i].msg_len, now);
    }
    let_go(&self->tables);
    unsigned ready = 0;
    for (int i = 0; i < received; i++) {
        reply_from(&worker->in[i].msg_hdr);
        if (replies[i] > 0) {
            worker->packets[i].out_part.iov_len = (size_t)replies[i];
            worker->out[ready].msg_hdr = worker->in[i].msg_hdr;
            worker->out[ready++].msg_hdr.msg_iov = &worker->packets[i].out_part;
        }
    }
    send_all(worker, fd, ready);
    for (int i = 0; i < received; i++)
        if (replies[i] == 0)
            wait_for_caller(worker, fd, &worker->packets[i], &worker->in[i]);
    return 0;
}

static void *work(void *argument)
{
    Worker *worker = argument;
    Datagrams *self = worker->all;
    struct pollfd woken = {.fd = worker->epoll, .events = POLLIN};
    for (;;) {
        struct epoll_event event = {0};
        poll(&woken, 1, -1);
        to_read(&self->sockets);
        /* asked again under the lock: until now a socket may have been detached */
        int found = epoll_wait(worker->epoll, &event, 1, 0), stopped = found > 0 && event.data.fd == self->stop;
        int failed = found > 0 && !stopped && batch(worker, event.data.fd);
        let_go(&self->sockets);
        if (stopped)
            return NULL;
        if (failed)
            poll(NULL, 0, PAUSE);
    }
}

static PyObject *peer_of(const Peer *peer)
{
    char text[INET6_ADDRSTRLEN];
    if (peer->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &peer->v4.sin_addr, text, sizeof text);
        return Py_BuildValue("(si)", text, ntohs(peer->v4.sin_port));
    }
    inet_ntop(AF_INET6, &peer->v6.sin6_addr, text, sizeof text);
    return Py_BuildValue("(siII)", text, ntohs(peer->v6.sin6_port), ntohl(peer->v6.sin6_flowinfo),
                         peer->v6.sin6_scope_id);
}

static PyObject *source_of(Waiting *item)
{
    struct cmsghdr *info = (struct cmsghdr *)item->control.octets;
    if (!item->octets)
        return PyTuple_New(0);
    return Py_BuildValue("((iiy#))", info->cmsg_level, info->cmsg_type, CMSG_DATA(info),
                         (Py_ssize_t)(info->cmsg_len - CMSG_LEN(0)));
}

static Waiting *next_waiting(Datagrams *self)
{
    eventfd_t count;
    pthread_mutex_lock(&self->queue);
    Waiting *item = self->first;
    if (item) {
        if (!(self->first = item->next)) {
            self->last = &self->first;
            eventfd_read(self->ready, &count);
        }
        self->waiting--;
        self->octets -= item->length;
    }
    pthread_mutex_unlock(&self->queue);
    return item;
}

static PyObject *take(Datagrams *self, PyObject *Py_UNUSED(none))
{
    PyObject *left = PyList_New(0);
    Waiting *item;
    for (int i = 0; left && i < BATCH && (item = next_waiting(self)); i++) {
        PyObject *datagram = Py_BuildValue("(iy#NN)", item->fd, item->datagram, (Py_ssize_t)item->length,
                                           peer_of(&item->peer), source_of(item));
        if (!datagram || PyList_Append(left, datagram))
            Py_CLEAR(left);
        Py_XDECREF(datagram);
        free(item);
    }
    return left;
}

/* One more thread; -1: an exception. */
static int employ(Datagrams *self)
{
    Worker *worker = PyMem_Calloc(1, sizeof *worker);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = self->stop};
    sigset_t all, before;
    if (!worker) {
        PyErr_NoMemory();
        return -1;
    }
    worker->all = self;
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < BATCH; i++) {
        Packet *packet = &worker->packets[i];
        packet->in_part = (struct iovec){packet->in, DATAGRAM};
        packet->out_part = (struct iovec){packet->out, 0};
        worker->in[i].msg_hdr = (struct msghdr){
            .msg_name = &packet->peer, .msg_iov = &packet->in_part, .msg_iovlen = 1, .msg_control = &packet->control};
    }
    sigfillset(&all); /* signals are the interpreter's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = worker->epoll < 0 || epoll_ctl(worker->epoll, EPOLL_CTL_ADD, self->stop, &event)
                     ? errno
                     : pthread_create(&worker->thread, NULL, work, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        close(worker->epoll);
        PyMem_Free(worker);
        errno = failed;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    pthread_setname_np(worker->thread, "edged-dns");
    self->workers[self->held++] = worker;
    self->started++;
    return 0;
}

static PyObject *attach(Datagrams *self, PyObject *args)
{
    PyObject *sock, *wildcard; /* the second is of use to the twin alone */
    unsigned worker;
    if (!PyArg_ParseTuple(args, "OOI", &sock, &wildcard, &worker))
        return NULL;
    int fd = PyObject_AsFileDescriptor(sock);
    if (fd < 0)
        return NULL;
    if (worker >= WORKERS || self->started < self->held)
        return PyErr_Format(PyExc_ValueError, "no such worker, or they were stopped");
    while (self->held <= worker)
        if (employ(self))
            return NULL;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(self->workers[worker]->epoll, EPOLL_CTL_ADD, fd, &event))
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyObject *detach(Datagrams *self, PyObject *sock)
{
    int fd = PyObject_AsFileDescriptor(sock);
    if (fd < 0)
        return NULL;
    to_write(&self->sockets);
    for (unsigned i = 0; i < self->started; i++)
        if (!epoll_ctl(self->workers[i]->epoll, EPOLL_CTL_DEL, fd, NULL))
            batch(self->workers[i], fd); /* what has come already; no worker is at work under this lock */
    let_go(&self->sockets);
    Py_RETURN_NONE;
}

static PyObject *stop(Datagrams *self, PyObject *Py_UNUSED(none))
{
    eventfd_write(self->stop, 1);
    while (self->started > 0) {
        pthread_t thread = self->workers[--self->started]->thread;
        Py_BEGIN_ALLOW_THREADS
        pthread_join(thread, NULL);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}

static PyObject *descriptor(Datagrams *self, PyObject *Py_UNUSED(none)) { return PyLong_FromLong(self->ready); }

static int read_answer(Answer *answer, PyObject *item)
{
    const char *head[VARIANTS], *tail[VARIANTS];
    Py_ssize_t heads[VARIANTS], tails[VARIANTS];
    if (!PyArg_ParseTuple(item, "I(y#y#)(y#y#)(y#y#)", &answer->kind, &head[0], &heads[0], &tail[0], &tails[0], &head[1],
                          &heads[1], &tail[1], &tails[1], &head[2], &heads[2], &tail[2], &tails[2]))
        return -1;
    for (int i = 0; i < VARIANTS; i++) {
        if (answer->kind >= KINDS || heads[i] != HEADER - 2 || tails[i] > PLAIN) {
            PyErr_SetString(PyExc_ValueError, "an answer that does not fit");
            return -1;
        }
        memcpy(answer->head[i], head[i], HEADER - 2);
        memcpy(answer->tail[i], tail[i], (size_t)tails[i]);
        answer->length[i] = (size_t)tails[i];
    }
    return 0;
}

/* The table of `names` and `first_labels`, its places less one in `mask`; NULL: an exception. */
static uint64_t *read_names(const Datagrams *self, PyObject *names, PyObject *first_labels, size_t *mask)
{
    Py_ssize_t whole = PyList_Size(names), first = PyList_Size(first_labels);
    if (whole < 0 || first < 0)
        return NULL;
    size_t places = 16;
    while (places < 4 * (size_t)(whole + first))
        places *= 2;
    uint64_t *table = PyMem_Calloc(places, sizeof *table);
    if (!table) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < whole + first; i++) {
        PyObject *item = i < whole ? PyList_GetItem(names, i) : PyList_GetItem(first_labels, i - whole);
        char *octets;
        Py_ssize_t length;
        const uint8_t *labels[LABELS];
        size_t all;
        int count = PyBytes_AsStringAndSize(item, &octets, &length)
                        ? -1
                        : labels_of((const uint8_t *)octets, (size_t)length, labels, &all);
        if (count < 1) {
            PyMem_Free(table);
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "not a name of a label or more");
            return NULL;
        }
        uint64_t hash = i < whole ? self->key : ~self->key;
        for (count = i < whole ? count : 1; count--;)
            hash = hash_label(hash, labels[count]);
        size_t at = hash & (places - 1);
        while (table[at] && table[at] != hash)
            at = (at + 1) & (places - 1);
        table[at] = hash;
    }
    *mask = places - 1;
    return table;
}

static PyObject *configure(Datagrams *self, PyObject *args)
{
    PyObject *answers, *names, *first_labels;
    const char *by_type;
    Py_ssize_t types;
    unsigned per_subscriber, per_prefix;
    Answer read[ANSWERS];
    if (!PyArg_ParseTuple(args, "(Oy#OOII)", &answers, &by_type, &types, &names, &first_labels, &per_subscriber,
                          &per_prefix))
        return NULL;
    Py_ssize_t count = PyList_Size(answers);
    if (count < 0)
        return NULL;
    if (count > ANSWERS || types != TYPES)
        return PyErr_Format(PyExc_ValueError, "too many answers, or not every type");
    for (Py_ssize_t i = 0; i < count; i++)
        if (read_answer(&read[i], PyList_GetItem(answers, i)))
            return NULL;
    for (int i = 0; i < TYPES; i++)
        if ((uint8_t)by_type[i] != NO_ANSWER && (uint8_t)by_type[i] >= count)
            return PyErr_Format(PyExc_ValueError, "a type without an answer");
    uint64_t *held;
    size_t mask;
    if (!(held = read_names(self, names, first_labels, &mask)))
        return NULL;
    to_write(&self->tables);
    memcpy(self->answers, read, (size_t)count * sizeof *read);
    memcpy(self->by_type, by_type, TYPES);
    self->per_subscriber = per_subscriber;
    self->per_prefix = per_prefix;
    uint64_t *old = self->names;
    self->names = held;
    self->mask = mask;
    self->generation++;
    let_go(&self->tables);
    PyMem_Free(old);
    Py_RETURN_NONE;
}

static PyObject *remember(Datagrams *self, PyObject *args)
{
    const char *octets;
    Py_ssize_t length;
    double until;
    unsigned subscriber, prefix;
    uint8_t address[16];
    if (!PyArg_ParseTuple(args, "y#dII", &octets, &length, &until, &subscriber, &prefix))
        return NULL;
    size_t places = (size_t)self->rates.len / sizeof(uint32_t);
    if ((length != 4 && length != 16) || subscriber >= places || prefix >= places)
        return PyErr_Format(PyExc_ValueError, "no address, or no such place");
    memcpy(address, MAPPED, sizeof MAPPED);
    memcpy(length == 4 ? address + 12 : address, octets, (size_t)length);
    to_write(&self->tables);
    Asker *asker = asker_of(self, address, 1);
    if (asker) {
        *asker = (Asker){.until = until, .subscriber = subscriber, .prefix = prefix, .generation = self->generation};
        memcpy(asker->address, address, sizeof address);
    }
    let_go(&self->tables);
    Py_RETURN_NONE;
}

static PyObject *forget(Datagrams *self, PyObject *Py_UNUSED(none))
{
    to_write(&self->tables);
    self->generation++;
    let_go(&self->tables);
    Py_RETURN_NONE;
}

static PyObject *counts_of(const Datagrams *self, int from, int to)
{
    PyObject *counts = PyTuple_New(to - from);
    for (int i = from; counts && i < to; i++) {
        unsigned long sum = 0;
        for (unsigned w = 0; w < self->held; w++)
            sum += atomic_exchange(&self->workers[w]->counts[i], 0);
        PyObject *number = PyLong_FromUnsignedLong(sum);
        if (!number)
            Py_CLEAR(counts);
        else
            PyTuple_SetItem(counts, i - from, number);
    }
    return counts;
}

/* What was counted since the last call: answers by kind, and the others. */
static PyObject *counted(Datagrams *self, PyObject *Py_UNUSED(none))
{
    return Py_BuildValue("(NN)", counts_of(self, 0, KINDS), counts_of(self, KINDS, COUNTS));
}

static int initialise(Datagrams *self, PyObject *args, PyObject *Py_UNUSED(none))
{
    PyObject *rates;
    unsigned long long key;
    if (self->names) {
        PyErr_SetString(PyExc_RuntimeError, "initialised already");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "OK", &rates, &key) || PyObject_GetBuffer(rates, &self->rates, PyBUF_WRITABLE))
        return -1;
    pthread_mutex_init(&self->tables.gate, NULL);
    pthread_rwlock_init(&self->tables.held, NULL);
    pthread_mutex_init(&self->sockets.gate, NULL);
    pthread_rwlock_init(&self->sockets.held, NULL);
    pthread_mutex_init(&self->queue, NULL);
    self->key = key;
    self->generation = 1;
    self->last = &self->first;
    memset(self->by_type, NO_ANSWER, TYPES);
    self->names = PyMem_Calloc(1, sizeof *self->names);
    if (!self->names || !(self->askers = PyMem_Calloc(ASKERS, sizeof *self->askers))) {
        PyErr_NoMemory();
        return -1;
    }
    self->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->ready < 0 || self->stop < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

static void release(Datagrams *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    freefunc give_back = (freefunc)PyType_GetSlot(type, Py_tp_free);
    if (self->askers) { /* else `initialise` came not so far */
        Py_XDECREF(stop(self, NULL));
        for (unsigned i = 0; i < self->held; i++) {
            close(self->workers[i]->epoll);
            PyMem_Free(self->workers[i]);
        }
        for (Waiting *item; (item = next_waiting(self));)
            free(item);
        close(self->ready);
        close(self->stop);
    }
    PyMem_Free(self->names);
    PyMem_Free(self->askers);
    PyBuffer_Release(&self->rates);
    give_back(self);
    Py_DECREF(type);
}

/* RADIUS: a batch in, a batch out, in the caller's own thread and under the GIL: to let it go and to get it back would
 * cost more than these calls, which never block. */

/* How the reply to a datagram finds its way: opaque to the caller, who hands it back. */
typedef struct {
    Peer peer;
    socklen_t size;
    size_t octets; /* of `control` */
    Control control;
} Back;

static PyObject *receive(PyObject *Py_UNUSED(module), PyObject *args)
{
    static uint8_t in[BATCH][DATAGRAM];
    static Back backs[BATCH];
    struct iovec parts[BATCH];
    struct mmsghdr came[BATCH];
    PyObject *sock, *wildcard, *peer = NULL, *back = NULL; /* the second is of use to the twin alone */
    if (!PyArg_ParseTuple(args, "OO", &sock, &wildcard))
        return NULL;
    int fd = PyObject_AsFileDescriptor(sock);
    if (fd < 0)
        return NULL;
    memset(backs, 0, sizeof backs);
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){in[i], DATAGRAM};
        came[i].msg_hdr = (struct msghdr){.msg_name = &backs[i].peer, .msg_namelen = sizeof backs[i].peer,
                                          .msg_iov = &parts[i], .msg_iovlen = 1, .msg_control = &backs[i].control,
                                          .msg_controllen = CONTROL};
    }
    int received = recvmmsg(fd, came, BATCH, MSG_DONTWAIT, NULL); /* -1: nothing left, or nobody's ICMP error */
    PyObject *left = PyList_New(0);
    for (int i = 0; left && i < received; i++) {
        reply_from(&came[i].msg_hdr);
        backs[i].size = came[i].msg_hdr.msg_namelen;
        if (!(backs[i].octets = came[i].msg_hdr.msg_controllen))
            memset(&backs[i].control, 0, CONTROL);
        if (!i || memcmp(&backs[i], &backs[i - 1], sizeof *backs)) { /* an access point asks many times in a row */
            Py_XDECREF(peer);
            Py_XDECREF(back);
            peer = peer_of(&backs[i].peer);
            back = PyBytes_FromStringAndSize((const char *)&backs[i], sizeof *backs);
        }
        PyObject *datagram =
            peer && back ? Py_BuildValue("(y#OO)", in[i], (Py_ssize_t)came[i].msg_len, peer, back) : NULL;
        if (!datagram || PyList_Append(left, datagram))
            Py_CLEAR(left);
        Py_XDECREF(datagram);
    }
    Py_XDECREF(peer);
    Py_XDECREF(back);
    return left;
}

/* One reply of the list, made ready to be sent; -1: an exception. */
static int read_reply(PyObject *item, struct msghdr *message, struct iovec *part, Back *back)
{
    char *octets, *way;
    Py_ssize_t length, size;
    if (!item || !PyTuple_Check(item) || PyTuple_Size(item) != 2) {
        PyErr_SetString(PyExc_TypeError, "a reply is its octets and what was received with the request");
        return -1;
    }
    if (PyBytes_AsStringAndSize(PyTuple_GetItem(item, 0), &octets, &length) ||
        PyBytes_AsStringAndSize(PyTuple_GetItem(item, 1), &way, &size))
        return -1;
    if (size == sizeof *back)
        memcpy(back, way, sizeof *back);
    if (size != sizeof *back || back->size > sizeof back->peer || back->octets > CONTROL) {
        PyErr_SetString(PyExc_ValueError, "not what was received with the request");
        return -1;
    }
    *part = (struct iovec){octets, (size_t)length};
    *message = (struct msghdr){.msg_name = &back->peer, .msg_namelen = back->size, .msg_iov = part, .msg_iovlen = 1,
                               .msg_control = back->octets ? &back->control : NULL, .msg_controllen = back->octets};
    return 0;
}

static PyObject *send_replies(PyObject *Py_UNUSED(module), PyObject *args)
{
    static Back backs[BATCH];
    struct iovec parts[BATCH];
    struct mmsghdr out[BATCH];
    PyObject *sock, *replies;
    if (!PyArg_ParseTuple(args, "OO", &sock, &replies))
        return NULL;
    int fd = PyObject_AsFileDescriptor(sock);
    Py_ssize_t count = PyList_Size(replies), done = 0;
    if (fd < 0 || count < 0)
        return NULL;
    PyObject *unsent = PyList_New(0);
    while (unsent && done < count) {
        unsigned some = count - done < BATCH ? (unsigned)(count - done) : BATCH;
        for (unsigned i = 0; unsent && i < some; i++)
            if (read_reply(PyList_GetItem(replies, done + i), &out[i].msg_hdr, &parts[i], &backs[i]))
                Py_CLEAR(unsent);
        int sent = unsent ? sendmmsg(fd, out, some, MSG_DONTWAIT) : 0;
        if (unsent && sent < 1) { /* the first of them will not leave; the next may go elsewhere */
            PyObject *index = PyLong_FromSsize_t(done);
            if (!index || PyList_Append(unsent, index))
                Py_CLEAR(unsent);
            Py_XDECREF(index);
        }
        done += sent < 1 ? 1 : sent;
    }
    return unsent;
}

static PyMethodDef functions[] = {
    {"receive", receive, METH_VARARGS, NULL},
    {"send", send_replies, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef methods[] = {
    {"configure", (PyCFunction)configure, METH_VARARGS, NULL},
    {"remember", (PyCFunction)remember, METH_VARARGS, NULL},
    {"forget", (PyCFunction)forget, METH_NOARGS, NULL},
    {"attach", (PyCFunction)attach, METH_VARARGS, NULL},
    {"detach", (PyCFunction)detach, METH_O, NULL},
    {"fileno", (PyCFunction)descriptor, METH_NOARGS, NULL},
    {"take", (PyCFunction)take, METH_NOARGS, NULL},
    {"stop", (PyCFunction)stop, METH_NOARGS, NULL},
    {"counted", (PyCFunction)counted, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_init, initialise},
    {Py_tp_dealloc, release},
    {Py_tp_methods, methods},
    {Py_tp_doc, "See datagrams.py."},
    {0, NULL},
};

static PyType_Spec spec = {"edged.native._datagrams.Datagrams", sizeof(Datagrams), 0, Py_TPFLAGS_DEFAULT, slots};

static int populate(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    if (!type || PyModule_AddObjectRef(module, "Datagrams", type)) {
        Py_XDECREF(type);
        return -1;
    }
    Py_DECREF(type);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, populate}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_datagrams", .m_methods = functions, .m_slots = module_slots};

PyMODINIT_FUNC PyInit__datagrams(void) { return PyModuleDef_Init(&definition); }
