/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INFO_H
#define INFO_H

/**
 * show_info() - Print what this machine and kernel offer for noiommu mode
 *
 * Return: exit status
 */
int show_info(void);

#endif /* INFO_H */
