/*
 * pq.h: libpq. Only a shared pool needs it, and it brings some twenty libraries into a process that
 * holds keys. So it is linked to a module (pq_module.c, the package keyline-postgresql), and
 * only a program that works with a pool loads that.
 */
#ifndef KEYLINE_ADAPTERS_PQ_H
#define KEYLINE_ADAPTERS_PQ_H

#include <libpq-fe.h>

#include "keyline/base.h"

/* What the fleet calls: PQclear and so on. */
#define KL_PQ_FUNCTIONS(X)                                                                         \
    X(clear)                                                                                       \
    X(cmdStatus)                                                                                   \
    X(cmdTuples)                                                                                   \
    X(connectPoll)                                                                                 \
    X(connectStartParams)                                                                          \
    X(connectionNeedsPassword)                                                                     \
    X(conninfo)                                                                                    \
    X(conninfoFree)                                                                                \
    X(consumeInput)                                                                                \
    X(enterPipelineMode)                                                                           \
    X(errorMessage)                                                                                \
    X(exitPipelineMode)                                                                            \
    X(finish)                                                                                      \
    X(flush)                                                                                       \
    X(getResult)                                                                                   \
    X(getisnull)                                                                                   \
    X(getlength)                                                                                   \
    X(getvalue)                                                                                    \
    X(isBusy)                                                                                      \
    X(nfields)                                                                                     \
    X(ntuples)                                                                                     \
    X(pipelineSync)                                                                                \
    X(port)                                                                                        \
    X(putCopyData)                                                                                 \
    X(putCopyEnd)                                                                                  \
    X(resultErrorField)                                                                            \
    X(resultErrorMessage)                                                                          \
    X(resultStatus)                                                                                \
    X(sendQuery)                                                                                   \
    X(sendQueryParams)                                                                             \
    X(setErrorVerbosity)                                                                           \
    X(setNoticeReceiver)                                                                           \
    X(setnonblocking)                                                                              \
    X(socket)                                                                                      \
    X(status)                                                                                      \
    X(transactionStatus)

/* Each with the prototype that libpq's header gives it. */
struct kl_pq {
#define X(name) __typeof__(PQ##name) *name;
    KL_PQ_FUNCTIONS(X)
#undef X
};

/* The names in their order: a module whose table is another has other words here. */
#define KL_PQ_WORD(name) #name " "
#define KL_PQ_WORDS      KL_PQ_FUNCTIONS(KL_PQ_WORD)

/* All that the module exports, as KL_PQ_SYMBOL. Program and module are of one build; the members in
   front of the table are what a program of any build may look at. */
struct kl_pq_module {
    const char *words, *version;
    const char *(*commit)(void);
    struct kl_pq table;
};
#define KL_PQ_SYMBOL "kl_pq_module"
extern const struct kl_pq_module kl_pq_module;

/*
 * Loads the module, once; from any thread, but before others start is best. False: there is none,
 * or none that this program trusts, and `error` says what to do. It stays loaded.
 * It is looked for only where it was installed, beside the program, and in the folder of a build
 * that the program is still in. Environment and working folder say nothing. Whoever can't
 * change the program must not be able to change the module either.
 */
bool kl_pq_load(char error[KL_TEXT_MAX]);
/* After that. */
const struct kl_pq *kl_pq(void);

#endif
