/* SPDX-License-Identifier: GPL-2.0-only */
/* The operations of stress, named for the program that kills it */
#ifndef OPS_H
#define OPS_H

enum op {
	OP_MAP, OP_MAP_ANYWHERE, OP_MAP_FILE, OP_COPY, OP_UNMAP, OP_GET_PA,
	OP_GET_PA_ARRAY, OP_GET_PA_OTHER, OP_ATTACH, OP_REPLACE,
	OP_ATTACH_OTHER_KIND, OP_DETACH, OP_HWPT_ALLOC, OP_HWPT_DESTROY,
	OP_IOAS, OP_OPEN, OP_BIND, OP_CLOSE, OP_RESET, OP_PARAMETER, OP_GROUP,
	OP_RESTART, OP_MOCK,
	WILD_MAP, WILD_MAP_FILE, WILD_COPY, WILD_UNMAP, WILD_GET_PA,
	WILD_GET_PA_ARRAY, WILD_ATTACH, WILD_DETACH, WILD_HWPT_ALLOC,
	WILD_DESTROY, WILD_IOAS_ALLOC, WILD_BIND, WILD_RESET, WILD_REOPEN,
	WILD_NEW_IOMMUFD, WILD_CHANGE_PROCESS, WILD_OPTION,
	NR_OPS
};

static const char *const op_names[NR_OPS] = {
	"MAP", "MAP anywhere", "MAP_FILE", "COPY", "UNMAP", "GET_PA",
	"GET_PA array", "GET_PA of another thread", "ATTACH", "ATTACH (replace)",
	"ATTACH to the other kind", "DETACH", "HWPT_ALLOC", "DESTROY of a HWPT",
	"IOAS_ALLOC and DESTROY", "open", "BIND", "close", "RESET",
	"parameter", "group", "new iommufd",
	"mock device",
	"wild MAP", "wild MAP_FILE", "wild COPY", "wild UNMAP", "wild GET_PA",
	"wild GET_PA array", "wild ATTACH", "wild DETACH", "wild HWPT_ALLOC",
	"wild DESTROY", "wild IOAS_ALLOC", "wild BIND", "wild RESET",
	"wild close and open", "wild new iommufd", "wild CHANGE_PROCESS",
	"wild OPTION",
};

#endif /* OPS_H */
