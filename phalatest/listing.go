package phalatest

// listing is what a list has, without having it in one slice: a page of it costs no more than the page.
type listing[T any] struct {
	total int
	items func(from, to int) []T
}

// all lists a slice.
func all[T any](list []T) listing[T] {
	return listing[T]{len(list), func(from, to int) []T { return list[from:to] }}
}

// merged lists several slices, each in rising order, as one. A page costs as much as all pages up to it.
func merged[T any](lists [][]T, order func(T) int) listing[T] {
	total := 0
	for _, list := range lists {
		total += len(list)
	}
	return listing[T]{total, func(from, to int) []T {
		heads := make([]int, len(lists))
		var page []T
		for n := range to {
			next := -1
			for i, list := range lists {
				if heads[i] < len(list) && (next < 0 || order(list[heads[i]]) < order(lists[next][heads[next]])) {
					next = i
				}
			}
			if n >= from {
				page = append(page, lists[next][heads[next]])
			}
			heads[next]++
		}
		return page
	}}
}

// newestFirst lists a slice backwards.
func newestFirst[T any](list []T) listing[T] {
	return listing[T]{len(list), func(from, to int) []T {
		page := make([]T, 0, to-from)
		for i := from; i < to; i++ {
			page = append(page, list[len(list)-1-i])
		}
		return page
	}}
}

// pageNames are the members of a page that its pagination style names, and the size of one if none is asked for.
type pageNames struct {
	items, pages string
	size         int
}

// page cuts one page out of a list and describes it.
func page[T any](c *call, list listing[T], names pageNames, describe func(T) any) answer {
	number, size := c.number("page", 1), c.number("page_size", names.size)
	from := list.total
	if number <= list.total { // else the product may be too large
		from = min((number-1)*size, list.total)
	}
	items := []any{}
	for _, one := range list.items(from, min(from+size, list.total)) {
		items = append(items, describe(one))
	}
	return ok(object{
		names.items: items, "total": list.total, "page": number, "page_size": size, names.pages: (list.total + size - 1) / size,
	})
}
