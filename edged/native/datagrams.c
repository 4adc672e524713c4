/* SPDX-License-Identifier: Apache-2.0
 *
 * UDP sockets served outside the interpreter: the answers to blocked subscribers that are the same for every ordinary
 * name leave from here, everything else is queued for the caller.
 *
 * The Python twin is datagrams.py beside it, and the truth about every answer is edged/dns/sinkhole.py: what is sent
 * here was rendered there (edged/dns/ready.py), this file copies it behind the question. RFC 1035 4.1, RFC 6891 6.1,
 * recvmmsg(2), sendmmsg(2). Behind it, for RADIUS: batches received and sent without a thread, and one packet and its
 * shared secret (the twin is radius.py).
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

/* What is counted: answers by kind, these, and answers by the time they took: place n is below 2^n microseconds. */
enum { RATELIMITED = KINDS, UNSENDABLE, PORTLESS, UNREADABLE, CROWDED, MICROSECONDS, TOOK, COUNTS = TOOK + 24 };

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
    double came; /* monotonic seconds */
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
    double waited; /* seconds, the first of those that were taken last */
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

static double monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Leave `packet` to the caller. */
static void wait_for_caller(Worker *worker, int fd, const Packet *packet, const struct mmsghdr *in)
{
    Datagrams *self = worker->all;
    Waiting *item = NULL;
    size_t length = in->msg_len;
    pthread_mutex_lock(&self->queue);
    if (self->waiting < WAITING && self->octets < OCTETS && (item = malloc(sizeof *item + length))) {
        *item = (Waiting){.came = monotonic(), .fd = fd, .peer = packet->peer, .control = packet->control,
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

/* Count `answers` that have left together, `seconds` after they were read. */
static void note_took(Worker *worker, double seconds, unsigned answers)
{
    unsigned long spent = (unsigned long)(seconds * 1e6);
    int place = 0;
    while (place < COUNTS - TOOK - 1 && spent >> place)
        place++;
    worker->counts[TOOK + place] += answers;
    worker->counts[MICROSECONDS] += spent * answers;
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
    double begun = monotonic();
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
    if (ready)
        note_took(worker, monotonic() - begun, ready);
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
    self->waited = 0;
    for (int i = 0; left && i < BATCH && (item = next_waiting(self)); i++) {
        if (!i)
            self->waited = monotonic() - item->came;
        PyObject *datagram = Py_BuildValue("(iy#NN)", item->fd, item->datagram, (Py_ssize_t)item->length,
                                           peer_of(&item->peer), source_of(item));
        if (!datagram || PyList_Append(left, datagram))
            Py_CLEAR(left);
        Py_XDECREF(datagram);
        free(item);
    }
    return left;
}

static PyObject *waited(Datagrams *self, PyObject *Py_UNUSED(none))
{
    return PyFloat_FromDouble(self->waited);
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

/* What was counted since the last call: answers by kind, the others, and answers by the time they took. */
static PyObject *counted(Datagrams *self, PyObject *Py_UNUSED(none))
{
    return Py_BuildValue("(NNN)", counts_of(self, 0, KINDS), counts_of(self, KINDS, TOOK),
                         counts_of(self, TOOK, COUNTS));
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

/* RADIUS: one packet and the shared secret. The twin, and the truth of every word, is radius.py beside this file. */

enum {
    PACKET = 20, /* octets of a RADIUS packet before its attributes, and with them: */
    LONGEST_PACKET = 4096,
    ATTRIBUTES = 200,
    MD5 = 16,
    MD5_BLOCK = 64,
    PASSWORD = 128,
    MARKS = 2 * ATTRIBUTES, /* twice what is let through: the count is checked at the end */
    USER_PASSWORD = 2,
    PROXY_STATE = 33,
    EAP_MESSAGE = 79,
    MESSAGE_AUTHENTICATOR = 80,
};

enum { ABSENT, VALID, INVALID };

typedef struct {
    uint32_t state[4];
    size_t length; /* of all so far */
    uint8_t open[MD5_BLOCK];
} Hash;

typedef struct {
    PyObject_HEAD
    Hash inner, outer; /* of HMAC (RFC 2104 section 4), the block of the key behind them */
    size_t length;
    uint8_t *secret;
} Shared;

/* RFC 1321 3.4 */
static void md5_block(uint32_t state[4], const uint8_t *block)
{
    static const uint32_t sines[64] = {
        0xD76AA478, 0xE8C7B756, 0x242070DB, 0xC1BDCEEE, 0xF57C0FAF, 0x4787C62A, 0xA8304613, 0xFD469501,
        0x698098D8, 0x8B44F7AF, 0xFFFF5BB1, 0x895CD7BE, 0x6B901122, 0xFD987193, 0xA679438E, 0x49B40821,
        0xF61E2562, 0xC040B340, 0x265E5A51, 0xE9B6C7AA, 0xD62F105D, 0x02441453, 0xD8A1E681, 0xE7D3FBC8,
        0x21E1CDE6, 0xC33707D6, 0xF4D50D87, 0x455A14ED, 0xA9E3E905, 0xFCEFA3F8, 0x676F02D9, 0x8D2A4C8A,
        0xFFFA3942, 0x8771F681, 0x6D9D6122, 0xFDE5380C, 0xA4BEEA44, 0x4BDECFA9, 0xF6BB4B60, 0xBEBFBC70,
        0x289B7EC6, 0xEAA127FA, 0xD4EF3085, 0x04881D05, 0xD9D4D039, 0xE6DB99E5, 0x1FA27CF8, 0xC4AC5665,
        0xF4292244, 0x432AFF97, 0xAB9423A7, 0xFC93A039, 0x655B59C3, 0x8F0CCC92, 0xFFEFF47D, 0x85845DD1,
        0x6FA87E4F, 0xFE2CE6E0, 0xA3014314, 0x4E0811A1, 0xF7537E82, 0xBD3AF235, 0x2AD7D2BB, 0xEB86D391};
    static const uint8_t turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], word[16];
    for (int i = 0; i < 16; i++)
        word[i] = block[4 * i] | (uint32_t)block[4 * i + 1] << 8 | (uint32_t)block[4 * i + 2] << 16 |
                  (uint32_t)block[4 * i + 3] << 24;
#pragma GCC unroll 64 /* the choices below are then made at compile time */
    for (int i = 0; i < 64; i++) {
        uint32_t mixed = i < 16   ? (d ^ (b & (c ^ d))) + word[i]
                         : i < 32 ? (c ^ (d & (b ^ c))) + word[(5 * i + 1) & 15]
                         : i < 48 ? (b ^ c ^ d) + word[(3 * i + 5) & 15]
                                  : (c ^ (b | ~d)) + word[(7 * i) & 15];
        uint32_t sum = a + mixed + sines[i], turn = turns[i >> 4][i & 3];
        a = d;
        d = c;
        c = b;
        b += sum << turn | sum >> (32 - turn);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

static const Hash EMPTY = {.state = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476}};

static void md5_more(Hash *hash, const uint8_t *octets, size_t length)
{
    size_t held = hash->length % MD5_BLOCK;
    hash->length += length;
    while (length) {
        if (!held && length >= MD5_BLOCK) {
            md5_block(hash->state, octets);
            octets += MD5_BLOCK;
            length -= MD5_BLOCK;
            continue;
        }
        size_t some = MD5_BLOCK - held < length ? MD5_BLOCK - held : length;
        memcpy(hash->open + held, octets, some);
        octets += some;
        length -= some;
        if ((held += some) == MD5_BLOCK) {
            md5_block(hash->state, hash->open);
            held = 0;
        }
    }
}

static void md5_end(Hash *hash, uint8_t digest[MD5])
{
    uint8_t ending[MD5_BLOCK + 8] = {0x80};
    uint64_t bits = (uint64_t)hash->length * 8;
    size_t held = hash->length % MD5_BLOCK, zeros = (held < 56 ? 56 : 120) - held;
    for (int i = 0; i < 8; i++)
        ending[zeros + (size_t)i] = (uint8_t)(bits >> 8 * i);
    md5_more(hash, ending, zeros + 8);
    for (int i = 0; i < MD5; i++)
        digest[i] = (uint8_t)(hash->state[i / 4] >> 8 * (i % 4));
}

/* MD5 of the secret and `length` octets: what hides values. */
static void keystream(const Shared *self, const uint8_t *octets, size_t length, uint8_t digest[MD5])
{
    Hash hash = EMPTY;
    md5_more(&hash, self->secret, self->length);
    md5_more(&hash, octets, length);
    md5_end(&hash, digest);
}

/* HMAC-MD5 of what was hashed behind the inner state. */
static void mac_end(const Shared *self, Hash *hash, uint8_t digest[MD5])
{
    Hash outer = self->outer;
    md5_end(hash, digest);
    md5_more(&outer, digest, MD5);
    md5_end(&outer, digest);
}

static int differ(const uint8_t *left, const uint8_t *right) /* in constant time */
{
    volatile uint8_t all = 0;
    for (int i = 0; i < MD5; i++)
        all |= left[i] ^ right[i];
    return all != 0;
}

static const uint8_t NOTHING[MD5] = {0};

static int is_authentic(const Shared *self, const uint8_t *packet, size_t length)
{
    uint8_t digest[MD5];
    Hash hash = EMPTY;
    md5_more(&hash, packet, 4);
    md5_more(&hash, NOTHING, MD5);
    md5_more(&hash, packet + PACKET, length - PACKET);
    md5_more(&hash, self->secret, self->length);
    md5_end(&hash, digest);
    return !differ(digest, packet + 4);
}

/* `found`: the value of the one Message-Authenticator. */
static int is_signed(const Shared *self, const uint8_t *packet, size_t length, size_t found, int hashed)
{
    uint8_t digest[MD5];
    Hash hash = self->inner;
    md5_more(&hash, packet, 4);
    md5_more(&hash, hashed ? NOTHING : packet + 4, MD5);
    md5_more(&hash, packet + PACKET, found - PACKET);
    md5_more(&hash, NOTHING, MD5);
    md5_more(&hash, packet + found + MD5, length - found - MD5);
    mac_end(self, &hash, digest);
    return !differ(digest, packet + found);
}

/* The clear octets of one User-Password, its padding cut off: how many; -1: it cannot be one. */
static int clear_password(const Shared *self, const uint8_t *packet, const uint8_t *value, int length, uint8_t *clear)
{
    if (length < MD5 || length > PASSWORD || length % MD5)
        return -1;
    const uint8_t *previous = packet + 4;
    for (int block = 0; block < length; previous = value + block, block += MD5) {
        keystream(self, previous, MD5, clear + block);
        for (int i = 0; i < MD5; i++)
            clear[block + i] ^= value[block + i];
    }
    while (length && !clear[length - 1])
        length--;
    return length;
}

/* The attributes: where the marked ones begin, and the constant part, the passwords to come. A word: malformed. */
static const char *walk(const uint8_t *packet, size_t end, size_t marks[MARKS], int *marked, uint8_t *constant,
                        size_t *octets, uint8_t *states, size_t *state)
{
    size_t at = PACKET;
    int count = 0;
    *marked = 0;
    *octets = *state = 0;
    for (size_t length; at + 1 < end; at += length, count++) {
        uint8_t type = packet[at];
        length = packet[at + 1];
        if (length < 2 || at + length > end)
            return "bad-attribute";
        if (type == USER_PASSWORD || type == PROXY_STATE || type == EAP_MESSAGE || type == MESSAGE_AUTHENTICATOR)
            if (*marked < MARKS)
                marks[(*marked)++] = at;
        if (type == PROXY_STATE) {
            memcpy(states + *state, packet + at, length);
            *state += length;
        } else if (type != USER_PASSWORD && type != MESSAGE_AUTHENTICATOR) {
            memcpy(constant + *octets, packet + at, length);
            *octets += length;
        }
    }
    return at != end ? "bad-attribute" : count > ATTRIBUTES ? "too-many-attributes" : NULL;
}

static PyObject *open_packet(Shared *self, PyObject *datagram)
{
    static uint8_t constant[2 * LONGEST_PACKET], states[LONGEST_PACKET]; /* under the GIL */
    size_t marks[MARKS], octets, state, found = 0;
    char *start;
    Py_ssize_t size;
    int marked, verdict = ABSENT;
    if (PyBytes_AsStringAndSize(datagram, &start, &size))
        return NULL;
    const uint8_t *packet = (const uint8_t *)start;
    if (size < PACKET)
        return PyUnicode_FromString("short");
    size_t end = number(packet + 2);
    if (end < PACKET || end > LONGEST_PACKET)
        return PyUnicode_FromString("bad-length");
    if (end > (size_t)size)
        return PyUnicode_FromString("truncated");
    const char *fault = walk(packet, end, marks, &marked, constant, &octets, states, &state);
    if (fault)
        return PyUnicode_FromString(fault);
    int hashed = packet[0] == 4 || packet[0] == 40 || packet[0] == 43;
    PyObject *places = PyList_New(marked), *passwords = PyList_New(0), *all = NULL;
    for (int i = 0; places && passwords && i < marked; i++) {
        size_t at = marks[i];
        PyObject *place = PyLong_FromSize_t(at);
        if (!place || PyList_SetItem(places, i, place))
            goto failed;
        if (packet[at] == MESSAGE_AUTHENTICATOR) {
            verdict = found || packet[at + 1] != 18 ? INVALID : verdict;
            found = at + 2;
        }
        if (packet[at] == USER_PASSWORD && passwords != Py_None) {
            uint8_t *clear = constant + octets + 2;
            int length = clear_password(self, packet, packet + at + 2, packet[at + 1] - 2, clear);
            if (length < 0) {
                Py_DECREF(passwords);
                passwords = Py_NewRef(Py_None);
                continue;
            }
            clear[-2] = USER_PASSWORD;
            clear[-1] = (uint8_t)(length + 2);
            octets += (size_t)length + 2;
            PyObject *password = PyBytes_FromStringAndSize((const char *)clear, length);
            int lost = !password || PyList_Append(passwords, password);
            Py_XDECREF(password);
            if (lost)
                goto failed;
        }
    }
    if (!places || !passwords)
        goto failed;
    if (found && verdict == ABSENT)
        verdict = is_signed(self, packet, end, found, hashed) ? VALID : INVALID;
    if (passwords != Py_None) {
        PyObject *tuple = PyList_AsTuple(passwords);
        Py_DECREF(passwords);
        if (!(passwords = tuple))
            goto failed;
    } else
        octets = 0; /* nobody asks for the constant part of what is dropped */
    all = Py_BuildValue("(OOiOy#y#)", places, !hashed || is_authentic(self, packet, end) ? Py_True : Py_False, verdict,
                        passwords, states, (Py_ssize_t)state, constant, (Py_ssize_t)octets);
failed:
    Py_XDECREF(places);
    Py_XDECREF(passwords);
    return all;
}

/* Appends one piece to the `*length` octets at `reply`; 0: done, 1: no room, -1: an exception. */
static int append_piece(const Shared *self, PyObject *piece, const char *authenticator, const char *salt, uint8_t *reply,
                        size_t *length)
{
    char *head, *plain = NULL;
    Py_ssize_t heads, plains = 0;
    int sealed = PyTuple_Check(piece);
    if (sealed && PyTuple_Size(piece) != 2) {
        PyErr_SetString(PyExc_TypeError, "a sealed attribute is its beginning and its plaintext");
        return -1;
    }
    if (PyBytes_AsStringAndSize(sealed ? PyTuple_GetItem(piece, 0) : piece, &head, &heads) ||
        (sealed && PyBytes_AsStringAndSize(PyTuple_GetItem(piece, 1), &plain, &plains)))
        return -1;
    if ((size_t)heads + (size_t)plains + (sealed ? 2 : 0) > LONGEST_PACKET - *length)
        return 1;
    if (plains % MD5) {
        PyErr_SetString(PyExc_ValueError, "plaintext comes in blocks of 16");
        return -1;
    }
    memcpy(reply + *length, head, (size_t)heads);
    *length += (size_t)heads;
    if (!sealed)
        return 0;
    uint8_t previous[MD5 + 2], digest[MD5];
    size_t before = sizeof previous; /* the request authenticator and the salt, then the ciphertext */
    memcpy(previous, authenticator, MD5);
    memcpy(previous + MD5, salt, 2);
    memcpy(reply + *length, salt, 2);
    *length += 2;
    for (Py_ssize_t block = 0; block < plains; block += MD5, before = MD5) {
        keystream(self, previous, before, digest);
        for (int i = 0; i < MD5; i++)
            reply[(*length)++] = previous[i] = digest[i] ^ (uint8_t)plain[block + i];
    }
    return 0;
}

static PyObject *reply_packet(Shared *self, PyObject *args)
{
    uint8_t reply[LONGEST_PACKET];
    const char *head, *authenticator, *salts;
    Py_ssize_t heads, authenticators, salt, sealed = 0;
    PyObject *pieces;
    int sign, room = 0;
    if (!PyArg_ParseTuple(args, "y#y#Oy#p", &head, &heads, &authenticator, &authenticators, &pieces, &salts, &salt, &sign))
        return NULL;
    Py_ssize_t count = PyList_Size(pieces);
    if (count < 0)
        return NULL;
    if (heads != 2 || authenticators != MD5)
        return PyErr_Format(PyExc_ValueError, "code and identifier, and an authenticator of 16 octets");
    size_t length = PACKET + (sign ? 18 : 0);
    memcpy(reply, head, 2);
    memcpy(reply + 4, authenticator, MD5);
    if (sign) {
        reply[PACKET] = MESSAGE_AUTHENTICATOR;
        reply[PACKET + 1] = 18;
        memset(reply + PACKET + 2, 0, MD5);
    }
    for (Py_ssize_t i = 0; i < count && !room; i++) {
        PyObject *piece = PyList_GetItem(pieces, i);
        if (!piece)
            return NULL;
        if (PyTuple_Check(piece) && (sealed += 2) > salt)
            return PyErr_Format(PyExc_ValueError, "too few salts");
        if ((room = append_piece(self, piece, authenticator, salts + (sealed ? sealed - 2 : 0), reply, &length)) < 0)
            return NULL;
    }
    if (room)
        return PyErr_Format(PyExc_ValueError, "a packet has at most 4096 octets");
    reply[2] = (uint8_t)(length >> 8);
    reply[3] = (uint8_t)length;
    Hash hash = self->inner;
    if (sign) {
        md5_more(&hash, reply, length);
        mac_end(self, &hash, reply + PACKET + 2);
    }
    hash = EMPTY;
    md5_more(&hash, reply, length);
    md5_more(&hash, self->secret, self->length);
    md5_end(&hash, reply + 4);
    return PyBytes_FromStringAndSize((const char *)reply, (Py_ssize_t)length);
}

static int shared_initialise(Shared *self, PyObject *args, PyObject *Py_UNUSED(none))
{
    const char *secret;
    Py_ssize_t length;
    uint8_t key[MD5_BLOCK] = {0};
    if (self->secret) {
        PyErr_SetString(PyExc_RuntimeError, "initialised already");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "y#", &secret, &length))
        return -1;
    if (!(self->secret = PyMem_Malloc((size_t)length + 1))) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(self->secret, secret, self->length = (size_t)length);
    if (length > MD5_BLOCK) {
        Hash hash = EMPTY;
        md5_more(&hash, self->secret, self->length);
        md5_end(&hash, key);
    } else
        memcpy(key, secret, (size_t)length);
    for (int i = 0; i < MD5_BLOCK; i++)
        key[i] ^= 0x36;
    self->inner = EMPTY;
    md5_more(&self->inner, key, MD5_BLOCK);
    for (int i = 0; i < MD5_BLOCK; i++)
        key[i] ^= 0x36 ^ 0x5C;
    self->outer = EMPTY;
    md5_more(&self->outer, key, MD5_BLOCK);
    return 0;
}

static void shared_release(Shared *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    freefunc give_back = (freefunc)PyType_GetSlot(type, Py_tp_free);
    PyMem_Free(self->secret);
    give_back(self);
    Py_DECREF(type);
}

static PyMethodDef shared_methods[] = {
    {"open", (PyCFunction)open_packet, METH_O, NULL},
    {"reply", (PyCFunction)reply_packet, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot shared_slots[] = {
    {Py_tp_init, shared_initialise},
    {Py_tp_dealloc, shared_release},
    {Py_tp_methods, shared_methods},
    {Py_tp_doc, "See radius.py."},
    {0, NULL},
};

static PyType_Spec shared_spec = {"edged.native._datagrams.Shared", sizeof(Shared), 0, Py_TPFLAGS_DEFAULT, shared_slots};

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
    {"waited", (PyCFunction)waited, METH_NOARGS, NULL},
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
    PyObject *type = PyType_FromSpec(&spec), *shared = PyType_FromSpec(&shared_spec);
    int failed = !type || !shared || PyModule_AddObjectRef(module, "Datagrams", type) ||
                 PyModule_AddObjectRef(module, "Shared", shared);
    Py_XDECREF(type);
    Py_XDECREF(shared);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, populate}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_datagrams", .m_methods = functions, .m_slots = module_slots};

PyMODINIT_FUNC PyInit__datagrams(void) { return PyModuleDef_Init(&definition); }
