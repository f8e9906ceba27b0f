// Package strictjson checks untrusted JSON before encoding/json decodes it: responses of the API, events, webhook
// deliveries, saved files and bundles. encoding/json alone accepts duplicate members and uses the last one, accepts "ID"
// for "id", and allocates far more memory than the text has bytes.
package strictjson

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strings"
	"unicode"
)

// The rules.
const (
	// MaxDepth limits the nesting of lists and objects.
	MaxDepth = 64
	// MaxNumber limits the length of a number in characters: 2^256 has 78 digits.
	MaxNumber = 128
	// MaxItems limits the items of a list and the members of an object. The longest list of the API, all CVMs of a
	// workspace, has 27,000 in the 32 MiB that are read.
	MaxItems = 50_000
	// MaxValues limits the total number of lists, objects and their items.
	MaxValues = 1_000_000
)

// ErrRules is matched by the errors of JSON that violates a rule.
var ErrRules = errors.New("JSON not accepted")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrRules, fmt.Errorf(format, args...))
}

// Unmarshal checks the rules and decodes.
func Unmarshal(data []byte, into any) error {
	if err := Check(data, MaxItems); err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// level is an open list or object.
type level struct {
	object  bool
	items   int
	bound   int
	members int            // where its members begin
	many    map[uint64]int // of a large object: the places of its names, by their hashes
}

// member is the name of a member: its hash and the place behind its first quote.
type member struct {
	hash uint64
	at   int
}

// few is how many members are compared one by one.
const few = 48

// Check returns an error if the JSON violates a rule: nesting that is too deep, a number that is too long, too many
// values, or an object with two members whose names are equal or differ only in case, as encoding/json compares them.
// page limits the items of a list that is the top-level value or a member of it. Invalid JSON is left to the decoder.
func Check(data []byte, page int) error {
	var stacked [16]level
	var known [96]member
	stack, members := stacked[:0], known[:0]
	values, isKey := 0, false
	for i := 0; i < len(data); {
		switch c := data[i]; c {
		case '"':
			i++
			if !isKey {
				end := stringEnd(data[i:])
				if end < 0 {
					return nil
				}
				i += end
				continue
			}
			isKey = false
			hash, end := hashName(data[i:])
			if end < 0 {
				if hash, end = hashOddName(data[i:]); end < 0 {
					return nil
				}
			}
			top := &stack[len(stack)-1]
			if before := top.find(members, hash, i); before >= 0 {
				if err := compareNames(data, before, i); err != nil {
					return err
				}
			}
			members = append(members, member{hash, i})
			i += end + 1
			continue
		case '{', '[':
			top := level{object: c == '{', items: 1, bound: MaxItems, members: len(members)}
			if c == '[' && len(stack) < 2 {
				top.bound = page
			}
			if len(stack) == MaxDepth {
				return broken("more than %d lists and objects within one another", MaxDepth)
			}
			stack = append(stack, top)
			isKey = top.object
			values++
		case '}', ']':
			if len(stack) == 0 {
				return nil
			}
			members = members[:stack[len(stack)-1].members]
			stack = stack[:len(stack)-1]
			isKey = false
		case ',':
			if len(stack) == 0 {
				return nil
			}
			top := &stack[len(stack)-1]
			top.items++
			values++
			isKey = top.object
			if top.items > top.bound {
				return broken("a list has more than %d items", top.bound)
			}
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			begin := i
			for i++; i < len(data) && isNumber(data[i]); i++ {
			}
			if i-begin > MaxNumber {
				return broken("a number has more than %d characters", MaxNumber)
			}
			continue
		case 't', 'n':
			i += 3
		case 'f':
			i += 4
		}
		if values > MaxValues {
			return broken("more than %d values", MaxValues)
		}
		i++
	}
	return nil
}

func isNumber(c byte) bool {
	return '0' <= c && c <= '9' || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'
}

// find returns the place of a name before with this hash, or -1, and notes the name at a place if there are many.
func (l *level) find(members []member, hash uint64, at int) int {
	own := members[l.members:]
	if len(own) < few {
		for _, one := range own {
			if one.hash == hash {
				return one.at
			}
		}
		return -1
	}
	if l.many == nil {
		l.many = make(map[uint64]int, 2*few)
		for _, one := range own {
			l.many[one.hash] = one.at
		}
	}
	before, there := l.many[hash]
	l.many[hash] = at
	if !there {
		return -1
	}
	return before
}

// compareNames returns an error if the names at two places are the same for encoding/json.
func compareNames(data []byte, one, other int) error {
	before, ok := name(data[one:])
	after, fine := name(data[other:])
	switch {
	case !ok || !fine:
		return nil
	case before == after:
		return broken("the member %.80q comes twice in an object", after)
	case fold(before) == fold(after):
		return broken("the members %.80q and %.80q of an object differ in case only", before, after)
	}
	return nil
}

// name returns a name that is closed.
func name(data []byte) (text string, ok bool) {
	end := stringEnd(data)
	if end < 0 {
		return "", false
	}
	quoted := append([]byte{'"'}, data[:end]...)
	return text, json.Unmarshal(quoted, &text) == nil
}

// fold returns the form in which encoding/json compares the names of members, with ASCII letters in lower case.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				r = next // the smallest of those that differ in case only
				break
			}
			r = next
		}
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name)
}

const (
	prime       = 0x9e3779b97f4a7c15
	ones        = 0x0101010101010101
	highBits    = 0x80 * ones
	quotes      = '"' * ones
	backslashes = '\\' * ones
)

// seed makes hashes that whoever writes the JSON cannot foresee.
var seed = rand.Uint64()

// hashName returns a hash that is equal for names that differ in case only, and the place of the quote that closes the
// name. It reads eight bytes at a time. The place is -1 for a name with an escape, beyond ASCII, or that is not closed.
func hashName(data []byte) (hash uint64, end int) {
	hash = seed
	for ; len(data)-end >= 8; end += 8 {
		word := binary.LittleEndian.Uint64(data[end:])
		quote, odd := zeroBytes(word^quotes), zeroBytes(word^backslashes)|word&highBits
		if quote|odd == 0 {
			hash = mix(hash, lower(word))
			continue
		}
		first := bits.TrailingZeros64(quote)
		if bits.TrailingZeros64(odd) < first {
			return 0, -1
		}
		length := first / 8
		return mix(hash, lower(word&(1<<(8*length)-1))) + uint64(length), end + length
	}
	var word uint64
	for i, c := range data[end:] {
		switch {
		case c == '"':
			return mix(hash, lower(word)) + uint64(i), end + i
		case c == '\\' || c >= 0x80:
			return 0, -1
		}
		word |= uint64(c) << (8 * i)
	}
	return 0, -1
}

// hashOddName is hashName for every name that is closed.
func hashOddName(data []byte) (hash uint64, end int) {
	text, ok := name(data)
	if !ok {
		return 0, -1
	}
	hash = seed
	rest := []byte(fold(text))
	for ; len(rest) >= 8; rest = rest[8:] {
		hash = mix(hash, binary.LittleEndian.Uint64(rest))
	}
	var word uint64
	for i, c := range rest {
		word |= uint64(c) << (8 * i)
	}
	return mix(hash, word) + uint64(len(rest)), stringEnd(data) - 1
}

// mix takes in eight characters of a name.
func mix(hash, word uint64) uint64 {
	hash = (hash ^ word) * prime
	return hash ^ hash>>29
}

// zeroBytes sets the high bit of the first byte of a word that is zero, and maybe of some after it.
func zeroBytes(word uint64) uint64 { return (word - ones) &^ word & highBits }

// lower puts the letters of a word of ASCII in lower case.
func lower(word uint64) uint64 {
	fromA, aboveZ := word+(0x80-'A')*ones, word+(0x80-'Z'-1)*ones
	return word | (fromA&^aboveZ&highBits)>>2
}

// stringEnd returns the place of the closing quote of a string that was opened, plus one, or -1.
func stringEnd(data []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(data[at:], '"')
		if i < 0 {
			return -1
		}
		at += i + 1
		escapes := 0
		for j := at - 2; j >= 0 && data[j] == '\\'; j-- {
			escapes++
		}
		if escapes%2 == 0 {
			return at
		}
	}
}
