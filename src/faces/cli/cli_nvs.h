/* cli_nvs.h: what the parts of `keyline nvs` share. */
#ifndef KEYLINE_FACES_CLI_NVS_H
#define KEYLINE_FACES_CLI_NVS_H

#include "keyline/nvs_load.h"

struct nvs_args {
    const char *csv, *schema, *label, *out;
    const char *file, *other; /* show: file; diff: both */
    const char *port;         /* show: instead of `file`; diff: of `other` */
    const char *partition;    /* of the board at `port` */
    uint32_t table_offset;
    uint32_t size; /* bytes of the partition */
    bool values, json;
};

/* "keyline nvs: TEXT" on stderr; returns `status`. */
int nvs_complain(const char *text, int status);
/* Flushes what was printed; KL_EXIT_OK, or KL_EXIT_FAILED with a word on stderr. */
int nvs_printed(void);

/* cli_nvs_port.c */
/* Reads the partition of the board at a->port; `data` is KL_NVS_FILE_MAX bytes of secret memory,
   the caller's. Its program runs again afterwards. KL_EXIT_OK, or that status after a word on
   stderr. */
int nvs_read_board(const struct nvs_args *a, uint8_t *data, struct kl_nvs_where *where,
                   struct kl_mac *mac);

/* cli_nvs_show.c */
int nvs_show(const struct nvs_args *a);
int nvs_diff(const struct nvs_args *a);
/* cli_nvs_make.c */
int nvs_make(const struct nvs_args *a);
/* "FILE line N, column M (namespace/name): why" */
void nvs_say_misfit(const struct kl_nvs_schema *schema, const char *csv, uint32_t line,
                    const struct kl_nvs_misfit *why, char out[KL_TEXT_MAX]);
int nvs_check(const struct nvs_args *a);

#endif
