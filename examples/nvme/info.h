/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INFO_H
#define INFO_H

/**
 * show_info() - Print which requirements of noiommu mode this machine meets
 *
 * Return: exit status
 */
int show_info(void);

#endif /* INFO_H */
