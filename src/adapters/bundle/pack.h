/* pack.h: compresses an image once, for all boards. Private to the bundle. */
#ifndef KEYLINE_PACK_H
#define KEYLINE_PACK_H

#include "keyline/bundle_load.h"

/* Takes `raw` over (malloc'ed, raw_size a multiple of 4) and fills in everything else. False if
   memory is out; then raw is freed. */
bool kl_pack(struct kl_image *out, uint8_t *raw, uint32_t raw_size);
/* Fills in image->parts, which kl_pack does for images of 128 KB and more. */
bool kl_pack_parts(struct kl_image *image);
void kl_pack_free(struct kl_image *image);

#endif
