#include "fleet_calls.h"

const struct kl_fleet_calls kl_fleet_calls_real = {
    .open = kl_fdb_open,
    .close = kl_fdb_close,
    .interrupt = kl_fdb_interrupt,
    .hello = kl_fdb_hello,
    .lease = kl_fdb_lease,
    .report = kl_fdb_report,
    .hand_back = kl_fdb_hand_back,
    .claim = kl_fdb_claim,
    .reassert = kl_fdb_reassert,
    .status = kl_fdb_status,
    .boards = kl_fdb_boards,
};
