package wire

func marshalJSON(v any) ([]byte, error)     { return marshalSmallJSON(v) }
func unmarshalJSON(b []byte, v any) error   { return unmarshalSmallJSON(b, v) }
func appendQuote(b []byte, s string) []byte { return appendSmallQuote(b, s) }
