/* SPDX-License-Identifier: Apache-2.0
 *
 * New TCP connections, one question each: tcp_load ADDRESS PORT SECONDS OUTSTANDING RATE CLIENTS < question
 *
 * Connects, sends the question, reads until the server closes, closes. RATE 0: a closed loop of OUTSTANDING connections;
 * otherwise so many a second begin, each at its own time, and one that is late counts from when it should have begun
 * (no coordinated omission). Clients are the addresses from 127.1.0.0 on, in turn.
 * Prints: answered, failed, octets of one answer, and the latencies in us: median, 99th percentile, worst.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 16384, QUESTION = 16384, EVENTS = 256, SAMPLES = 4 << 20 };
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static struct { int fd; int asked; unsigned got; double began; } conns[MOST];
static int idle[MOST], idles, poller;
static char question[QUESTION];
static size_t length;
static unsigned long answered, failed;
static unsigned octets, clients, next_client;
static float *samples;
static struct sockaddr_in server;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void finish(int i, int well)
{
    close(conns[i].fd);
    idle[idles++] = i;
    if (!well) {
        failed++;
        return;
    }
    if (answered < SAMPLES)
        samples[answered] = (float)(1e6 * (now() - conns[i].began));
    answered++;
    octets = conns[i].got;
}

static void begin(double due)
{
    int i = idle[--idles], one = 1;
    conns[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    conns[i].asked = 0, conns[i].got = 0, conns[i].began = due;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7F010000u + next_client)};
    next_client = (next_client + 1) % clients;
    setsockopt(conns[i].fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLET, {.u32 = (unsigned)i}};
    if (conns[i].fd < 0 || bind(conns[i].fd, (struct sockaddr *)&from, sizeof from) ||
        (connect(conns[i].fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) ||
        epoll_ctl(poller, EPOLL_CTL_ADD, conns[i].fd, &event))
        finish(i, 0);
}

static void advance(int i, unsigned events)
{
    char in[4096];
    if (!conns[i].asked && events & EPOLLOUT) {
        conns[i].asked = 1;
        if (send(conns[i].fd, question, length, MSG_NOSIGNAL) != (ssize_t)length) {
            finish(i, 0);
            return;
        }
    }
    for (;;) {
        ssize_t got = recv(conns[i].fd, in, sizeof in, 0);
        if (got > 0) {
            conns[i].got += (unsigned)got;
            continue;
        }
        if (got < 0 && errno == EAGAIN)
            return;
        finish(i, got == 0 && conns[i].got);
        return;
    }
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    int outstanding = atoi(argv[4]);
    double rate = atof(argv[5]);
    clients = (unsigned)atoi(argv[6]);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    length = fread(question, 1, QUESTION, stdin);
    samples = malloc(SAMPLES * sizeof *samples);
    poller = epoll_create1(0);
    if (!length || !samples || poller < 0 || outstanding < 1 || outstanding > MOST || !clients)
        return 2;
    while (idles < outstanding)
        idle[idles] = idles, idles++;
    double start = now(), due = start, end = start + atof(argv[3]);
    struct epoll_event events[EVENTS];
    for (double at = start; at < end; at = now()) {
        if (rate > 0) {
            for (; due <= at && idles; due += 1 / rate)
                begin(due);
        } else {
            while (idles)
                begin(now());
        }
        int ready = epoll_wait(poller, events, EVENTS, rate > 0 ? 0 : 1);
        for (int i = 0; i < ready; i++)
            advance((int)events[i].data.u32, events[i].events);
    }
    unsigned long kept = answered < SAMPLES ? answered : SAMPLES;
    qsort(samples, kept, sizeof *samples, by_size);
    printf("%lu %lu %u %.0f %.0f %.0f\n", answered, failed, octets, kept ? samples[kept / 2] : 0,
           kept ? samples[kept * 99 / 100] : 0, kept ? samples[kept - 1] : 0);
    return 0;
}
