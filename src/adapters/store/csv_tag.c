#include "csv_tag.h"

#include <sys/xattr.h>

static const char name[] = "user.keyline.pool";

bool kl_csv_tag_read(const char *csv, struct kl_pool_id *out)
{
    return getxattr(csv, name, out->b, sizeof out->b) == (ssize_t)sizeof out->b;
}

bool kl_csv_tag_write(const char *csv, const struct kl_pool_id *id)
{
    return setxattr(csv, name, id->b, sizeof id->b, 0) == 0;
}
