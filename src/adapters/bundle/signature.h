/* signature.h: Secure Boot's signatures behind an image (docs/esp-serial-protocol.md 7.5). */
#ifndef KEYLINE_ADAPTERS_SIGNATURE_H
#define KEYLINE_ADAPTERS_SIGNATURE_H

#include "image.h"

/* Looks behind the image that ends at info->length and sets signature, signature_odd and end. NULL,
   or what is wrong: a signature for other bytes. This does not check the figures of RSA and ECDSA:
   keyline has no public key for that. */
const char *kl_signature_read(const uint8_t *data, size_t size, struct kl_image_info *info,
                              char why[KL_TEXT_MAX]);

#endif
