/* pool_folder.h: where a station keeps what belongs to one shared pool. */
#ifndef KEYLINE_ADAPTERS_POOL_FOLDER_H
#define KEYLINE_ADAPTERS_POOL_FOLDER_H

#include "keyline/base.h"

/* The folder of a service; makes it if `make`. False and `error` if there is none. */
bool kl_pool_folder(const char *service, bool make, char out[4096], char error[KL_TEXT_MAX]);

#endif
