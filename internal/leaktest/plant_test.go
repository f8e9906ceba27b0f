package leaktest_test

import (
	"math/big"
	"reflect"
	"regexp"
	"time"
	"unsafe"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/webhook"
)

// planted is the secret. It has what an encoding would change.
const planted = `hunter2&planted/"secret"+7`

// secretName matches the names of fields that hold a secret, whatever their type.
var secretName = regexp.MustCompile(`(?i)(secret|token|passw|passphrase|credential|privatekey|apikey|encryptedenv|authorization|cookie|commiturl|mnemonic|signingkey)`)

// publicKey matches the names of those that are no secret.
var publicKey = regexp.MustCompile(`(?i)pub(lic)?key$`)

// notSecret are the fields that have such a name and hold none, with the reason.
var notSecret = map[string]string{
	"deploy.App.Secrets":                "names",
	"deploy.Revision.Secrets":           "names",
	"deploy.Pending.Secrets":            "names",
	"deploy.UpdateSpec.RemoveSecrets":   "names",
	"deploy.RollbackSpec.RemoveSecrets": "names",
}

// keptAsJSON are the types whose JSON a program keeps in a private file, with the secrets that are sent later. No
// plaintext is among them.
var keptAsJSON = []string{"deploy.State", "deploy.Pending"}

// planter fills values with text, and with the secret where one belongs.
type planter struct {
	used  map[string]bool // of notSecret
	count int             // planted secrets
}

const maxDepth = 6

// fill sets everything in v, which can be set or is made so. path is the type and the field, secret whether what is in v
// is one.
func (p *planter) fill(v reflect.Value, secret bool, depth int) {
	if depth > maxDepth {
		return
	}
	switch v.Type() {
	case reflect.TypeFor[openapi.Secret](), reflect.TypeFor[webhook.Hidden]():
		secret = true
	case reflect.TypeFor[compose.EnvVar]():
		v.Set(reflect.ValueOf(compose.EnvVar{Key: "TOKEN", Value: planted}))
		p.count++
		return
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1_790_000_000, 0).UTC()))
		return
	case reflect.TypeFor[big.Int]():
		return
	case reflect.TypeFor[openapi.RawJSON]():
		text := `{"plain":"text"}`
		v.Set(reflect.ValueOf(openapi.RawJSON(text)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(p.text(secret))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		p.fill(v.Elem(), secret, depth+1)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(p.text(secret)))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		p.fill(v.Index(0), secret, depth+1)
	case reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			reflect.Copy(v, reflect.ValueOf([]byte(p.text(secret)+p.text(secret)+p.text(secret))))
			return
		}
		for i := range v.Len() {
			p.fill(v.Index(i), secret, depth+1)
		}
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			return
		}
		value := reflect.New(v.Type().Elem()).Elem()
		p.fill(value, secret, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), value)
	case reflect.Struct:
		for i := range v.NumField() {
			p.field(v, i, secret, depth)
		}
	}
}

func (p *planter) field(v reflect.Value, i int, secret bool, depth int) {
	at := v.Type().Field(i)
	field := v.Field(i)
	if !at.IsExported() {
		field = reflect.NewAt(at.Type, unsafe.Pointer(field.UnsafeAddr())).Elem() // unexported fields hold secrets, too
	}
	if !secret && secretName.MatchString(at.Name) && !publicKey.MatchString(at.Name) {
		name := v.Type().String() + "." + at.Name
		if _, excepted := notSecret[name]; excepted {
			p.used[name] = true
		} else {
			secret = true
		}
	}
	p.fill(field, secret, depth+1)
}

func (p *planter) text(secret bool) string {
	if !secret {
		return "plain"
	}
	p.count++
	return planted
}
