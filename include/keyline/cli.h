/*
 * cli.h: the command line: one table of subcommands, one of options, the exit statuses.
 */
#ifndef KEYLINE_CLI_H
#define KEYLINE_CLI_H

#include "keyline/exit.h"

/* Runs the whole program; returns the exit status. Each subcommand is a function of this shape in a
   file of its own, listed in src/faces/cli/cli.c. */
int kl_cli_main(int argc, char **argv);

/* argv[0] is the subcommand's name. */
int kl_cli_virtual(int argc, char **argv);  /* src/faces/cli/cli_virtual.c */
int kl_cli_ports(int argc, char **argv);    /* src/faces/cli/cli_ports.c */
int kl_cli_doctor(int argc, char **argv);   /* src/faces/cli/cli_doctor.c */
int kl_cli_keys(int argc, char **argv);     /* src/faces/cli/cli_keys.c */
int kl_cli_check(int argc, char **argv);    /* src/faces/cli/cli_check.c */
int kl_cli_chip(int argc, char **argv);     /* src/faces/cli/cli_chip.c */
int kl_cli_nvs(int argc, char **argv);      /* src/faces/cli/cli_nvs.c */
int kl_cli_fleet(int argc, char **argv);    /* src/faces/cli/cli_fleet.c */
int kl_cli_pool(int argc, char **argv);     /* src/faces/cli/cli_pool.c */
int kl_cli_list(int argc, char **argv);     /* src/faces/cli/cli_list.c */
int kl_cli_report(int argc, char **argv);   /* src/faces/cli/cli_report.c */
int kl_cli_attach(int argc, char **argv);   /* src/faces/cli/cli_attach.c */
int kl_cli_config(int argc, char **argv);   /* src/faces/cli/cli_config.c */
int kl_cli_complete(int argc, char **argv); /* src/faces/cli/cli_complete.c: for shells */
int kl_cli_demo(int argc, char **argv);     /* src/faces/cli/cli_demo.c */
int kl_cli_station(int argc, char **argv);  /* src/faces/cli/cli_station.c: the default */
/* Its dashboard ends without a question. */
int kl_cli_station_demo(int argc, char **argv);

#endif
