/* SPDX-License-Identifier: Apache-2.0
 *
 * One kernel of keysearch.c, which includes this file once for each width: LANES candidates side by side in vectors of
 * 32-bit words. F(name) is the name with the kernel's suffix; TARGET says which instructions its functions may use.
 * No vector is passed by value, so that no calling convention depends on the machine.
 */
#define V F(vector)
typedef uint32_t V __attribute__((vector_size(4 * LANES)));

#define ROL(x, n) (((x) << (n)) | ((x) >> (32 - (n))))
#define ROR(x, n) ROL(x, 32 - (n))

/* --- compression, FIPS 180-4 and RFC 1321: WORD is the round's word with its constant ----------------------------- */

#define SHA1_ROUNDS(WORD)                                                                                              \
    V a = s[0], b = s[1], c = s[2], d = s[3], e = s[4];                                                                \
    UNROLL(80)                                                                                                         \
    for (int i = 0; i < 80; i++) {                                                                                     \
        V f = i < 20 ? d ^ (b & (c ^ d)) : i >= 40 && i < 60 ? (b & c) | (d & (b | c)) : b ^ c ^ d;                    \
        V t = ROL(a, 5) + f + e + (WORD);                                                                              \
        e = d, d = c, c = ROL(b, 30), b = a, a = t;                                                                    \
    }                                                                                                                  \
    s[0] += a, s[1] += b, s[2] += c, s[3] += d, s[4] += e

#define SHA1_NEXT (w[i & 15] = ROL(w[(i + 13) & 15] ^ w[(i + 8) & 15] ^ w[(i + 2) & 15] ^ w[i & 15], 1))

#define SHA256_ROUNDS(WORD)                                                                                            \
    V a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];                                  \
    UNROLL(64)                                                                                                         \
    for (int i = 0; i < 64; i++) {                                                                                     \
        V t = h + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + (g ^ (e & (f ^ g))) + (WORD);                                \
        V u = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & b) | (c & (a | b)));                                       \
        h = g, g = f, f = e, e = d + t, d = c, c = b, b = a, a = t + u;                                                \
    }                                                                                                                  \
    s[0] += a, s[1] += b, s[2] += c, s[3] += d, s[4] += e, s[5] += f, s[6] += g, s[7] += h

#define SHA256_LOW (ROR(w[(i + 1) & 15], 7) ^ ROR(w[(i + 1) & 15], 18) ^ (w[(i + 1) & 15] >> 3))
#define SHA256_HIGH (ROR(w[(i + 14) & 15], 17) ^ ROR(w[(i + 14) & 15], 19) ^ (w[(i + 14) & 15] >> 10))
#define SHA256_NEXT (w[i & 15] += SHA256_LOW + w[(i + 9) & 15] + SHA256_HIGH)

#define MD5_ROUNDS(WORD)                                                                                               \
    V a = s[0], b = s[1], c = s[2], d = s[3];                                                                          \
    UNROLL(64)                                                                                                         \
    for (int i = 0; i < 64; i++) {                                                                                     \
        V f = i < 16 ? d ^ (b & (c ^ d)) : i < 32 ? c ^ (d & (b ^ c)) : i < 48 ? b ^ c ^ d : c ^ (b | ~d);             \
        V t = a + f + (WORD);                                                                                          \
        a = d, d = c, c = b, b += ROL(t, MD5_SHIFT(i));                                                                \
    }                                                                                                                  \
    s[0] += a, s[1] += b, s[2] += c, s[3] += d

/* `w` is spoiled. */
static TARGET void F(sha1)(V *s, V *w) { SHA1_ROUNDS((i < 16 ? w[i & 15] : SHA1_NEXT) + SHA1_K(i)); }
static TARGET void F(sha256)(V *s, V *w) { SHA256_ROUNDS((i < 16 ? w[i & 15] : SHA256_NEXT) + SHA256_K[i]); }
static TARGET void F(md5)(V *s, const V *w) { MD5_ROUNDS(w[MD5_WORD(i)] + MD5_K[i]); }
static TARGET void F(sha1_shared)(V *s, const uint32_t *w) { SHA1_ROUNDS(w[i]); }
static TARGET void F(sha256_shared)(V *s, const uint32_t *w) { SHA256_ROUNDS(w[i]); }
static TARGET void F(md5_shared)(V *s, const uint32_t *w) { MD5_ROUNDS(w[i]); }

static TARGET void F(compress)(const Hash *hash, V *s, V *w)
{
    if (hash == &SHA1)
        F(sha1)(s, w);
    else if (hash == &SHA256)
        F(sha256)(s, w);
    else
        F(md5)(s, w);
}

static TARGET void F(compress_shared)(const Hash *hash, V *s, const uint32_t *w)
{
    if (hash == &SHA1)
        F(sha1_shared)(s, w);
    else if (hash == &SHA256)
        F(sha256_shared)(s, w);
    else
        F(md5_shared)(s, w);
}

/* --- HMAC, RFC 2104 ----------------------------------------------------------------------------------------------- */

/* The states after the padded keys of so many words. */
static TARGET void F(key)(const Hash *hash, V *inner, V *outer, const V *key, int words)
{
    const V none = {0};
    for (int side = 0; side < 2; side++) {
        V *s = side ? outer : inner, w[16];
        for (int i = 0; i < 16; i++)
            w[i] = (i < words ? key[i] : none) ^ (side ? 0x5c5c5c5cu : 0x36363636u);
        for (int i = 0; i < hash->words; i++)
            s[i] = none + hash->initial[i];
        F(compress)(hash, s, w);
    }
}

/* One block that ends what began with a padded key: a digest, and nothing else. `digest` may be `s`. */
static TARGET void F(finish)(const Hash *hash, V *s, const V *state, const V *digest)
{
    const V none = {0};
    V w[16];
    for (int i = 0; i < 16; i++)
        w[i] = i < hash->words ? digest[i] : none;
    w[hash->words] = none + hash->end;
    w[hash->length_at] = none + (uint32_t)(64 + 4 * hash->words) * 8;
    for (int i = 0; i < hash->words; i++)
        s[i] = state[i];
    F(compress)(hash, s, w);
}

static TARGET void F(hmac)(const Hash *hash, V *mac, const V *inner, const V *outer, const Message *message)
{
    V s[8];
    for (int i = 0; i < hash->words; i++)
        s[i] = inner[i];
    for (int i = 0; i < message->blocks; i++)
        F(compress_shared)(hash, s, message->words[i]);
    F(finish)(hash, mac, outer, s);
}

/* --- keys: PBKDF2 (RFC 8018 5.2), and the states of HMAC under PMKs ----------------------------------------------- */

static TARGET void F(load)(V *key, int words, const uint8_t *octets, size_t at, size_t count)
{
    for (int i = 0; i < words; i++)
        for (size_t lane = 0; lane < LANES; lane++)
            key[i][lane] = at + lane < count ? big_endian(octets + ((at + lane) * (size_t)words + (size_t)i) * 4) : 0;
}

static TARGET void F(derive)(const uint8_t *passphrases, size_t count, const Message *salts, uint8_t *pmks)
{
    for (size_t at = 0; at < count; at += LANES) {
        V key[16], inner[8], outer[8], u[8], sum[8];
        F(load)(key, 16, passphrases, at, count);
        F(key)(&SHA1, inner, outer, key, 16);
        for (int part = 0; part < 2; part++) {
            F(hmac)(&SHA1, u, inner, outer, &salts[part]);
            for (int i = 0; i < 5; i++)
                sum[i] = u[i];
            for (int round = 1; round < 4096; round++) {
                F(finish)(&SHA1, u, inner, u);
                F(finish)(&SHA1, u, outer, u);
                for (int i = 0; i < 5; i++)
                    sum[i] ^= u[i];
            }
            for (size_t lane = 0; lane < LANES && at + lane < count; lane++)
                for (int i = 0; i < (part ? 3 : 5); i++)
                    to_big_endian(pmks + (at + lane) * PMK + (size_t)(part * 5 + i) * 4, sum[i][lane]);
        }
    }
}

static TARGET void F(prepare)(const Hash *hash, const uint8_t *pmks, size_t count, uint32_t *states)
{
    for (size_t at = 0; at < padded(count); at += LANES) {
        V key[8], both[2][8];
        F(load)(key, 8, pmks, at, count);
        F(key)(hash, both[0], both[1], key, 8);
        for (int side = 0; side < 2; side++)
            for (int i = 0; i < hash->words; i++)
                memcpy(place(states, hash, at, side * hash->words + i), &both[side][i], sizeof(V));
    }
}

/* --- AES-128-CMAC (FIPS 197, RFC 4493) of 32 x LANES candidates: each vector holds one bit of all of them --------- */

/* GF(4) as w^2 = w + 1, GF(16) as z^2 = z + w, GF(256) as y^2 = y + z^3: [0] is the lowest coefficient. */
static TARGET INLINE void F(multiply_4)(V *r, const V *a, const V *b)
{
    V high = a[1] & b[1], low = a[0] & b[0];
    r[1] = ((a[1] ^ a[0]) & (b[1] ^ b[0])) ^ low;
    r[0] = low ^ high;
}

static TARGET INLINE void F(multiply_16)(V *r, const V *a, const V *b)
{
    V high[2], low[2], mixed[2], c[2] = {a[2] ^ a[0], a[3] ^ a[1]}, d[2] = {b[2] ^ b[0], b[3] ^ b[1]};
    F(multiply_4)(high, a + 2, b + 2);
    F(multiply_4)(low, a, b);
    F(multiply_4)(mixed, c, d);
    r[3] = mixed[1] ^ low[1], r[2] = mixed[0] ^ low[0];
    r[1] = low[1] ^ high[1] ^ high[0], r[0] = low[0] ^ high[1];
}

static TARGET INLINE void F(invert_16)(V *r, const V *a)
{
    V sum[2] = {a[2] ^ a[0], a[3] ^ a[1]}, norm[2];
    F(multiply_4)(norm, a, sum);
    norm[1] ^= a[2], norm[0] ^= a[3];
    norm[0] ^= norm[1]; /* in GF(4) the inverse is the square */
    F(multiply_4)(r + 2, a + 2, norm);
    F(multiply_4)(r, sum, norm);
}

/* The S-box on the eight bits of one octet, [0] the lowest: to the tower of fields, inverted, back and affine. */
static TARGET void F(substitute)(V *y, const V *x)
{
    V a[8], sum[4], norm[4], v[8];
    a[0] = x[0] ^ x[2], a[1] = x[1] ^ x[6] ^ x[7], a[2] = x[2] ^ x[5], a[3] = a[1] ^ x[3];
    a[7] = x[5] ^ x[7], a[4] = x[1] ^ a[7], a[5] = x[1] ^ x[4] ^ x[5] ^ x[6], a[6] = a[5] ^ x[2] ^ x[3];
    sum[0] = a[0] ^ a[4], sum[1] = a[1] ^ a[5], sum[2] = a[2] ^ a[6], sum[3] = a[3] ^ a[7];
    F(multiply_16)(norm, a, sum);
    norm[0] ^= a[6], norm[1] ^= a[6] ^ a[7], norm[2] ^= a[5] ^ a[6] ^ a[7], norm[3] ^= a[4] ^ a[7];
    V inverse[4];
    F(invert_16)(inverse, norm);
    F(multiply_16)(v + 4, a + 4, inverse);
    F(multiply_16)(v, sum, inverse);
    V p = v[4] ^ v[5], q = v[2] ^ p, r = v[4] ^ v[6];
    y[2] = v[0] ^ v[1], y[1] = ~(v[0] ^ v[1] ^ v[2]), y[0] = ~(v[0] ^ q), y[3] = v[0] ^ q ^ v[6];
    y[4] = v[0] ^ v[3] ^ p, y[5] = ~(v[3] ^ q), y[6] = ~(r ^ v[7]), y[7] = v[2] ^ r;
}

#define BITS F(bits)
typedef struct {
    V word[4][32];    /* the keys of confirmation: word, then group of LANES candidates; after `transpose` bit of word */
    V key[11][16][8]; /* by round, octet and bit, as all that follows */
    V state[16][8], other[16][8], subkey[16][8];
} BITS;

static TARGET void F(transpose)(V *x)
{
    uint32_t mask = 0x0000ffff;
    for (int j = 16; j; j >>= 1, mask ^= mask << j)
        for (int k = 0; k < 32; k = (k + j + 1) & ~j) {
            V t = ((x[k] >> j) ^ x[k + j]) & mask;
            x[k] ^= t << j;
            x[k + j] ^= t;
        }
}

static TARGET void F(expand_key)(BITS *z)
{
    for (int w = 0; w < 4; w++) {
        F(transpose)(z->word[w]);
        for (int i = 0; i < 4; i++)
            memcpy(z->key[0][4 * w + i], &z->word[w][8 * (3 - i)], sizeof z->key[0][0]);
    }
    for (int round = 1, constant = 1; round < 11; round++, constant = constant << 1 ^ (constant >> 7) * 0x11b)
        for (int i = 0; i < 16; i++) {
            V *made = z->key[round][i], turned[8], *before = i < 4 ? turned : z->key[round][i - 4];
            if (i < 4)
                F(substitute)(turned, z->key[round - 1][12 + (i + 1) % 4]);
            for (int k = 0; k < 8; k++) {
                made[k] = before[k] ^ z->key[round - 1][i][k];
                if (i == 0 && constant >> k & 1)
                    made[k] = ~made[k];
            }
        }
}

static TARGET void F(encrypt)(BITS *z)
{
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 8; k++)
            z->state[i][k] ^= z->key[0][i][k];
    for (int round = 1; round < 11; round++) {
        for (int i = 0; i < 16; i++) /* substituted, and its row shifted */
            F(substitute)(z->other[(i + 16 - 4 * (i % 4)) % 16], z->state[i]);
        for (int i = 0; i < 16; i++) {
            V *r = z->state[i], *key = z->key[round][i], (*column)[8] = &z->other[i & ~3];
            V *a = column[i % 4], *b = column[(i + 1) % 4], *c = column[(i + 2) % 4], *d = column[(i + 3) % 4];
            if (round == 10) {
                for (int k = 0; k < 8; k++)
                    r[k] = a[k] ^ key[k];
                continue;
            }
            V top = a[7] ^ b[7]; /* 2a + 3b + c + d */
            r[0] = b[0] ^ c[0] ^ d[0] ^ key[0] ^ top;
            UNROLL(7)
            for (int k = 1; k < 8; k++)
                r[k] = a[k - 1] ^ b[k - 1] ^ b[k] ^ c[k] ^ d[k] ^ key[k];
            r[1] ^= top, r[3] ^= top, r[4] ^= top;
        }
    }
}

/* The subkey doubled in GF(2^128), its first bit the highest of octet 0. */
static TARGET void F(twice)(V (*x)[8])
{
    V top = x[0][7];
    for (int i = 0; i < 16; i++) {
        for (int k = 7; k > 0; k--)
            x[i][k] = x[i][k - 1];
        x[i][0] = i < 15 ? x[i + 1][7] : top;
    }
    x[15][1] ^= top, x[15][2] ^= top, x[15][7] ^= top;
}

static TARGET INLINE void F(add)(V (*x)[8], const uint8_t *octets)
{
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 8; k++)
            x[i][k] ^= -(uint32_t)(octets[i] >> k & 1);
}

/* In `differs`, for each lane, the bit of a group is 0 where the candidate made the MIC. */
static TARGET void F(cmac)(const Search *q, BITS *z, V *differs)
{
    const V none = {0};
    F(expand_key)(z);
    memset(z->state, 0, sizeof z->state);
    F(encrypt)(z);
    memcpy(z->subkey, z->state, sizeof z->state);
    F(twice)(z->subkey);
    memset(z->state, 0, sizeof z->state);
    size_t whole = q->frame_length ? (q->frame_length - 1) / 16 : 0, rest = q->frame_length - whole * 16;
    for (size_t i = 0; i < whole; i++) {
        F(add)(z->state, q->frame + i * 16);
        F(encrypt)(z);
    }
    uint8_t last[16] = {0};
    memcpy(last, q->frame + whole * 16, rest);
    if (rest < 16) {
        last[rest] = 0x80;
        F(twice)(z->subkey);
    }
    F(add)(z->state, last);
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 8; k++)
            z->state[i][k] ^= z->subkey[i][k];
    F(encrypt)(z);
    F(add)(z->state, q->mic_octets);
    *differs = none;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 8; k++)
            *differs |= z->state[i][k];
}

/* --- search ------------------------------------------------------------------------------------------------------- */

/* The key of confirmation of each candidate from `at` on, four words; `kck` has room for eight. */
static TARGET void F(confirm)(const Search *q, size_t at, V *kck)
{
    const Hash *hash = q->suite < PSK_SHA256 ? &SHA1 : &SHA256;
    V inner[8], outer[8], key[8];
    for (int i = 0; i < hash->words; i++) {
        memcpy(&inner[i], place((uint32_t *)q->states, hash, at, i), sizeof(V));
        memcpy(&outer[i], place((uint32_t *)q->states, hash, at, hash->words + i), sizeof(V));
    }
    F(hmac)(hash, kck, inner, outer, &q->messages[0]);
    for (int i = 1; q->suite == FT_PSK && i < 3; i++) { /* what was derived is the next key */
        memcpy(key, kck, sizeof key);
        F(key)(hash, inner, outer, key, 8);
        F(hmac)(hash, kck, inner, outer, &q->messages[i]);
    }
}

/* The first candidate of so many from `at` on whose MAC begins with the MIC. */
static TARGET ptrdiff_t F(hit)(const Search *q, size_t at, const V *mac)
{
    uint32_t first[LANES];
    V differs = mac[0] ^ q->mic[0];
    memcpy(first, &differs, sizeof first);
    for (size_t lane = 0; lane < LANES; lane++) {
        if (first[lane] || at + lane < q->start || at + lane >= q->stop)
            continue;
        if (!((mac[1][lane] ^ q->mic[1]) | (mac[2][lane] ^ q->mic[2]) | (mac[3][lane] ^ q->mic[3])))
            return (ptrdiff_t)(at + lane);
    }
    return MISS;
}

static TARGET ptrdiff_t F(search_hmac)(const Search *q)
{
    const Hash *hash = q->suite == PSK_MD5 ? &MD5 : &SHA1;
    for (size_t at = q->start / LANES * LANES; at < q->stop; at += LANES) {
        V kck[8], inner[8], outer[8], mac[8];
        F(confirm)(q, at, kck);
        for (int i = 0; hash == &MD5 && i < 4; i++)
            kck[i] = (ROL(kck[i], 8) & 0x00ff00ff) | (ROR(kck[i], 8) & 0xff00ff00);
        F(key)(hash, inner, outer, kck, 4);
        F(hmac)(hash, mac, inner, outer, &q->messages[3]);
        ptrdiff_t found = F(hit)(q, at, mac);
        if (found != MISS)
            return found;
    }
    return MISS;
}

static TARGET ptrdiff_t F(search_cmac)(const Search *q, BITS *z)
{
    for (size_t at = q->start / LANES * LANES; at < q->stop; at += 32 * LANES) {
        V kck[8], differs;
        memset(z->word, 0, sizeof z->word);
        for (size_t group = 0; group < 32 && at + group * LANES < q->stop; group++) {
            F(confirm)(q, at + group * LANES, kck);
            for (int i = 0; i < 4; i++)
                z->word[i][group] = kck[i];
        }
        F(cmac)(q, z, &differs);
        for (size_t i = 0; i < 32 * LANES; i++)
            if (!(differs[i % LANES] >> i / LANES & 1) && at + i >= q->start && at + i < q->stop)
                return (ptrdiff_t)(at + i);
    }
    return MISS;
}

/* SHA-256 of one block, with four words of each candidate behind its label of six octets; `made` may be `words`. */
static TARGET void F(named)(V *made, const V *words, const uint32_t *block)
{
    const V none = {0};
    V w[16], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = none + block[i];
    for (int i = 0; i < 4; i++) {
        w[i + 1] |= words[i] >> 16;
        w[i + 2] |= words[i] << 16;
    }
    for (int i = 0; i < 8; i++)
        s[i] = none + SHA256.initial[i];
    F(sha256)(s, w);
    for (int i = 0; i < 4; i++)
        made[i] = s[i];
}

/* The PMKR1Name of each candidate: of the KDF that makes PMK-R0 its second block is enough. */
static TARGET ptrdiff_t F(search_name)(const Search *q)
{
    for (size_t at = q->start / LANES * LANES; at < q->stop; at += LANES) {
        V name[8];
        F(confirm)(q, at, name);
        F(named)(name, name, q->names[0]);
        F(named)(name, name, q->names[1]);
        ptrdiff_t found = F(hit)(q, at, name);
        if (found != MISS)
            return found;
    }
    return MISS;
}

static TARGET ptrdiff_t F(search)(const Search *q, void *scratch)
{
    if (q->suite == FT_NAME)
        return F(search_name)(q);
    return q->suite < PSK_SHA256 ? F(search_hmac)(q) : F(search_cmac)(q, scratch);
}

static const Kernel F(kernel) = {KERNEL, sizeof(BITS), F(derive), F(prepare), F(search)};

#undef BITS
#undef V
#undef ROL
#undef ROR
#undef SHA1_ROUNDS
#undef SHA1_NEXT
#undef SHA256_ROUNDS
#undef SHA256_LOW
#undef SHA256_HIGH
#undef SHA256_NEXT
#undef MD5_ROUNDS
#undef F
#undef LANES
#undef TARGET
#undef KERNEL
