typedef int kl_support_placeholder;
