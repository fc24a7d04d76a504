/* Loses one in LOST frees: preloaded into a server, a leak that the soak must find. */

extern void __libc_free(void *);

void free(void *block) {
    static unsigned long count;
    if (__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED) % LOST == 0) return;
    __libc_free(block);
}
