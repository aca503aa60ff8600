/* csv_head.h: tells from a file's first bytes whether it is a CSV at all. Pure. */
#ifndef KEYLINE_ADAPTERS_CSV_HEAD_H
#define KEYLINE_ADAPTERS_CSV_HEAD_H

#include "keyline/base.h"

struct kl_csv_head {
    bool bom;    /* it begins with a UTF-8 byte order mark */
    bool binary; /* it begins as files of another kind do */
    bool markup; /* it is a web page, JSON, or a server's error */
};

void kl_csv_head_look(struct kl_span head, struct kl_csv_head *out);

#endif
