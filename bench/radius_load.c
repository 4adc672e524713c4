/* SPDX-License-Identifier: Apache-2.0
 *
 * A load that costs little: radius_load PORT SECONDS OUTSTANDING SAMPLES < requests. One access point (one socket) on
 * 127.0.0.1 with so many requests outstanding: each reply makes room for the next request.
 *
 * Requests come signed, each behind its length in two octets, a multiple of 256 of them with the identifiers 0 to 255 in
 * turn. One reply in 64 is written to the file SAMPLES, behind the number of its request in four octets: whoever
 * prepared the requests can tell whether it is authentic.
 * Prints: replies, replies other than the code of the first, requests lost, and the 50th and 99th percentile of the time
 * from request to reply in nanoseconds, measured to 0.5 microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { IDENTIFIERS = 256, BATCH = 64, ROOM = 4096, MOST = 1 << 20, STEP = 500, STEPS = 1 << 20, SAMPLE = 64, LONG = 2048 };

static unsigned char *requests[MOST], in[BATCH][ROOM], sample[LONG][ROOM];
static unsigned lengths[MOST], count, next, sampled, sample_of[LONG], sample_length[LONG];
static unsigned times[STEPS]; /* replies by steps of time */
static struct { long long sent; unsigned request; } open_[IDENTIFIERS];

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void read_requests(void)
{
    int high, low;
    while (count < MOST && (high = getchar()) >= 0 && (low = getchar()) >= 0) {
        unsigned length = (unsigned)(high << 8 | low);
        requests[count] = malloc(length);
        if (!requests[count] || fread(requests[count], 1, length, stdin) != length)
            exit(2);
        lengths[count++] = length;
    }
    if (!count || count % IDENTIFIERS)
        exit(2);
}

static int send_some(int fd, int wanted)
{
    struct mmsghdr out[BATCH] = {0};
    struct iovec parts[BATCH];
    long long at = now();
    for (int i = 0; i < wanted; i++, next = (next + 1) % count) {
        parts[i] = (struct iovec){requests[next], lengths[next]};
        out[i].msg_hdr.msg_iov = &parts[i];
        out[i].msg_hdr.msg_iovlen = 1;
        open_[requests[next][1]].sent = at;
        open_[requests[next][1]].request = next;
    }
    int sent = sendmmsg(fd, out, (unsigned)wanted, 0);
    return sent < 0 ? 0 : sent;
}

static long long percentile(unsigned long done, unsigned of_hundred)
{
    unsigned long wanted = done * of_hundred / 100, seen = 0;
    for (int i = 0; i < STEPS; i++)
        if ((seen += times[i]) > wanted)
            return (long long)i * STEP;
    return (long long)STEPS * STEP;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    int outstanding = atoi(argv[3]), out = 0, first = 0;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 1 << 20;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1])),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (outstanding < 1 || outstanding > BATCH || connect(fd, (struct sockaddr *)&server, sizeof server))
        return 2;
    struct mmsghdr received[BATCH] = {0};
    struct iovec parts[BATCH];
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){in[i], ROOM};
        received[i].msg_hdr.msg_iov = &parts[i];
        received[i].msg_hdr.msg_iovlen = 1;
    }
    read_requests();
    unsigned long done = 0, lost = 0, other = 0;
    struct pollfd readable = {fd, POLLIN, 0};
    long long end = now() + (long long)(atof(argv[2]) * 1e9);
    for (;;) {
        if (now() >= end)
            outstanding = 0; /* the last replies, so that the next round starts clean */
        if (out < outstanding)
            out += send_some(fd, outstanding - out);
        if (!out && !outstanding)
            break;
        if (poll(&readable, 1, 250) < 1) {
            lost += (unsigned long)out;
            out = 0;
            continue;
        }
        int got = recvmmsg(fd, received, BATCH, MSG_DONTWAIT, NULL);
        long long at = now();
        for (int i = 0; i < got; i++) {
            unsigned identifier = in[i][1];
            if (received[i].msg_len < 20 || !open_[identifier].sent)
                continue;
            long long step = (at - open_[identifier].sent) / STEP;
            times[step < STEPS ? step : STEPS - 1]++;
            open_[identifier].sent = 0;
            out--;
            first = first ? first : in[i][0];
            other += in[i][0] != first;
            if (done++ % SAMPLE == 0) {
                unsigned slot = sampled++ % LONG;
                sample_of[slot] = open_[identifier].request;
                memcpy(sample[slot], in[i], sample_length[slot] = received[i].msg_len);
            }
        }
    }
    FILE *file = fopen(argv[4], "wb");
    for (unsigned i = 0; file && i < (sampled < LONG ? sampled : LONG); i++) {
        unsigned char head[6] = {sample_of[i] >> 24 & 255, sample_of[i] >> 16 & 255, sample_of[i] >> 8 & 255,
                                 sample_of[i] & 255, sample_length[i] >> 8 & 255, sample_length[i] & 255};
        fwrite(head, 1, sizeof head, file);
        fwrite(sample[i], 1, sample_length[i], file);
    }
    if (!file || fclose(file))
        return 2;
    printf("%lu %lu %lu %lld %lld\n", done, other, lost, percentile(done, 50), percentile(done, 99));
    return 0;
}
