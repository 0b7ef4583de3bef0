/*
 * PostgreSQL's raw parser alone, as the pg_query crate's C library has it inside: no protobuf, no pipe around stderr,
 * no copies. What is declared here is defined in that library, which does not install headers for it.
 *
 * The server resets a memory context after each query rather than making one anew, and so does this.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>

/* The beginning of a context: a tag, two flags, and the bytes of its blocks. */
typedef struct MemoryContextData
{
	int			tag;
	bool		flags[2];
	size_t		allocated_bytes;
} *MemoryContext;

extern __thread MemoryContext CurrentMemoryContext;
extern __thread MemoryContext TopMemoryContext;
extern __thread sigjmp_buf *PG_exception_stack;

extern void pg_query_init(void);
extern MemoryContext AllocSetContextCreateInternal(MemoryContext parent, const char *name, size_t minimum,
												   size_t first, size_t maximum);
extern void MemoryContextReset(MemoryContext context);
extern void FlushErrorState(void);
extern void *raw_parser(const char *text, int mode);

static __thread MemoryContext context;

/* Parses one text. The number of its statements is not looked at; 0 means that it was rejected. */
int
bench_raw_parse(const char *text)
{
	sigjmp_buf *outer = PG_exception_stack;
	sigjmp_buf here;
	volatile int accepted = 0;

	if (context == NULL)
	{
		pg_query_init();
		context = AllocSetContextCreateInternal(TopMemoryContext, "bench", 0, 8 * 1024, 8 * 1024 * 1024);
	}
	CurrentMemoryContext = context;
	if (sigsetjmp(here, 0) == 0)
	{
		PG_exception_stack = &here;
		accepted = raw_parser(text, 0) != NULL;
	}
	else
		FlushErrorState();
	PG_exception_stack = outer;
	CurrentMemoryContext = TopMemoryContext;
	return accepted;
}

/* The bytes that the last text took from the system, before they are given back. */
size_t
bench_raw_parse_bytes(void)
{
	return context == NULL ? 0 : context->allocated_bytes;
}

/* Forgets the tree. */
void
bench_raw_parse_reset(void)
{
	MemoryContextReset(context);
}
