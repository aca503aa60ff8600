/* fuzz_stub_json.c: any text as a flasher stub. What is taken as one can be uploaded. */
#include <stdlib.h>

#include "keyline/bundle_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static size_t sum(const struct kl_span *span)
{
    size_t all = 0;

    for (size_t i = 0; i < span->size; i++)
        all += span->data[i];
    return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[KL_TEXT_MAX];
    struct kl_stub *stub = kl_stub_parse((const char *)data, size, error);

    must((stub == NULL) == (error[0] != '\0'));
    if (!stub)
        return 0;
    must(stub->text.size > 0 && stub->text.size % 4 == 0 && stub->data.size % 4 == 0);
    must(stub->entry >= stub->text_start && stub->entry - stub->text_start < stub->text.size);
    must(stub->text_start + stub->text.size <= UINT32_MAX);
    must(stub->data_start + stub->data.size <= UINT32_MAX);
    must(sum(&stub->text) <= 255 * stub->text.size); /* every byte is read under a sanitizer */
    must(sum(&stub->data) <= 255 * stub->data.size);
    kl_stub_free(stub);
    return 0;
}
