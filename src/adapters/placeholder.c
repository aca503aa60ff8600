/* placeholder.c: removed by the first module of this layer. */
typedef int kl_adapters_placeholder;
