/* kl_esp_store.h: the fields in NVS. */
#ifndef KL_ESP_STORE_H
#define KL_ESP_STORE_H

#include "esp_err.h"
#include "provisioning.h"

/* Makes NVS ready and fills in `store`. */
esp_err_t kl_esp_store_open(struct kl_prov_store *store);

#endif
