// Names of functions in a program's file (ELF, elf(5)), for reports of crashes.
#define _GNU_SOURCE
#include "CSkeinWorkers.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <elf.h>
#include <link.h>

static void search(const char *file, size_t size, const uint64_t *offsets, size_t count, char **names, uint64_t *starts) {
    const ElfW(Ehdr) *head = (const ElfW(Ehdr) *)file;
    if (size < sizeof *head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0) return;
    if (head->e_shentsize != sizeof(ElfW(Shdr)) || head->e_shoff > size) return;
    if (head->e_shnum > (size - head->e_shoff) / sizeof(ElfW(Shdr))) return;
    const ElfW(Shdr) *sections = (const ElfW(Shdr) *)(file + head->e_shoff);
    for (size_t index = 0; index < head->e_shnum; index++) {
        const ElfW(Shdr) *section = &sections[index];
        if (section->sh_type != SHT_SYMTAB || section->sh_link >= head->e_shnum) continue;
        const ElfW(Shdr) *texts = &sections[section->sh_link];
        if (section->sh_offset > size || section->sh_size > size - section->sh_offset) continue;
        if (texts->sh_offset > size || texts->sh_size > size - texts->sh_offset || texts->sh_size == 0) continue;
        if (file[texts->sh_offset + texts->sh_size - 1] != 0) continue;
        const ElfW(Sym) *symbols = (const ElfW(Sym) *)(file + section->sh_offset);
        size_t number = section->sh_size / sizeof(ElfW(Sym));
        for (size_t each = 0; each < number; each++) {
            const ElfW(Sym) *symbol = &symbols[each];
            if ((symbol->st_info & 15) != STT_FUNC || symbol->st_name >= texts->sh_size) continue;
            for (size_t place = 0; place < count; place++) {
                if (names[place] || offsets[place] < symbol->st_value) continue;
                if (offsets[place] - symbol->st_value >= symbol->st_size) continue;
                names[place] = strdup(file + texts->sh_offset + symbol->st_name);
                starts[place] = symbol->st_value;
            }
        }
    }
}
#endif

void skein_symbols(const char *path, const uint64_t *offsets, size_t count, char **names, uint64_t *starts) {
#ifdef __linux__
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return;
    struct stat facts;
    if (fstat(descriptor, &facts) == 0 && facts.st_size > 0) {
        size_t size = (size_t)facts.st_size;
        const char *file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (file != MAP_FAILED) {
            search(file, size, offsets, count, names, starts);
            munmap((void *)file, size);
        }
    }
    close(descriptor);
#else
    (void)path, (void)offsets, (void)count, (void)names, (void)starts;
#endif
}
