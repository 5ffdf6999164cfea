package gateway

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Each key changes alone: it's taken over or refused, as LiveKeys says.
func TestLiveKeys(t *testing.T) {
	old := DefaultConfig()
	var each func(prefix string, v reflect.Value, changed *Config)
	each = func(prefix string, v reflect.Value, changed *Config) {
		for i := range v.NumField() {
			name, field := prefix+v.Type().Field(i).Tag.Get("koanf"), v.Field(i)
			if field.Kind() == reflect.Struct {
				each(name+".", field, changed)
				continue
			}
			before := reflect.ValueOf(field.Interface())
			switch field.Kind() {
			case reflect.String:
				field.SetString(field.String() + "x")
			case reflect.Bool:
				field.SetBool(!field.Bool())
			case reflect.Slice:
				field.Set(reflect.MakeSlice(field.Type(), field.Len()+1, field.Len()+1))
			default:
				field.SetInt(field.Int() + 1)
			}
			live := slices.ContainsFunc(LiveKeys, func(k string) bool { return name == k || strings.HasPrefix(name, k+".") })
			refused := differing("", reflect.ValueOf(old.withLive(*changed)), reflect.ValueOf(*changed))
			if live && len(refused) != 0 || !live && !slices.Equal(refused, []string{name}) {
				t.Errorf("%s changes: refused %v, live %v", name, refused, live)
			}
			field.Set(before)
		}
	}
	changed := DefaultConfig()
	each("", reflect.ValueOf(&changed).Elem(), &changed)
}
