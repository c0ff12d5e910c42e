package persauth_test

import (
	"testing"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each requirement, met and not met. Refusals are always 403: the caller is
// known.
func TestRequirements(t *testing.T) {
	v := holding(t, setFor("EdDSA"))
	caller := func(claims string) *persauth.Claims {
		return answers(t, v, tokenWith(keyFor("EdDSA"), `{"tenantId":"acme","exp":1800000900,`+claims+`}`), nil)
	}
	user := caller(`"authType":"user"`)
	shopAdmin := caller(`"authType":"business","businessId":"shop","role":["ADMIN","CLERK"]`)
	tenantAdmin := caller(`"authType":"tenant","role":"TENANT_ADMIN"`)
	// A business may call its roles what it likes.
	pretender := caller(`"authType":"business","businessId":"shop","role":"TENANT_ADMIN"`)
	forgetful := caller(`"businessId":"shop","role":"TENANT_ADMIN"`)  // no authType
	homeless := caller(`"authType":"business","role":"TENANT_ADMIN"`) // no businessId
	emptyRole := caller(`"authType":"tenant","role":["",""],"businessId":null`)
	nobody := (*persauth.Claims)(nil)

	ok, forbidden := error(nil), persauth.ErrForbidden
	for _, c := range []struct {
		name string
		got  error
		want error
	}{
		{"own tenant", user.RequireTenant("acme"), ok},
		{"another tenant", user.RequireTenant("other"), forbidden},
		{"tenant in other case", user.RequireTenant("ACME"), forbidden},
		{"tenant with a space", user.RequireTenant("acme "), forbidden},
		{"no tenant asked for", user.RequireTenant(""), forbidden},
		{"nobody's tenant", nobody.RequireTenant("acme"), forbidden},
		{"nobody, nothing asked for", nobody.RequireTenant(""), forbidden},

		{"own business", shopAdmin.RequireBusiness("shop"), ok},
		{"another business", shopAdmin.RequireBusiness("bank"), forbidden},
		{"no business asked for", shopAdmin.RequireBusiness(""), forbidden},
		{"a business, of a user", user.RequireBusiness("shop"), forbidden},
		{"no business, of a user", user.RequireBusiness(""), forbidden},
		{"a business that is the tenant", tenantAdmin.RequireBusiness("acme"), forbidden},
		{"nobody's business", nobody.RequireBusiness("shop"), forbidden},

		{"auth type", user.RequireAuthType(persauth.AuthUser), ok},
		{"one of two auth types", user.RequireAuthType(persauth.AuthSystem, persauth.AuthUser), ok},
		{"another auth type", user.RequireAuthType(persauth.AuthTenant, persauth.AuthSystem), forbidden},
		{"no auth type asked for", user.RequireAuthType(), forbidden},
		{"an empty one asked for", user.RequireAuthType(""), forbidden},
		{"an empty one beside", user.RequireAuthType(persauth.AuthUser, ""), forbidden},
		{"an empty one, by one without", forgetful.RequireAuthType(""), forbidden},
		{"one without", forgetful.RequireAuthType(persauth.AuthUser), forbidden},
		{"nobody's auth type", nobody.RequireAuthType(persauth.AuthUser), forbidden},

		{"business role", shopAdmin.RequireBusinessRole("shop", "ADMIN"), ok},
		{"second business role", shopAdmin.RequireBusinessRole("shop", "CLERK"), ok},
		{"one of several", shopAdmin.RequireBusinessRole("shop", "OWNER", "ADMIN"), ok},
		{"role in another business", shopAdmin.RequireBusinessRole("bank", "ADMIN"), forbidden},
		{"another role", shopAdmin.RequireBusinessRole("shop", "OWNER"), forbidden},
		{"role in other case", shopAdmin.RequireBusinessRole("shop", "admin"), forbidden},
		{"part of a role", shopAdmin.RequireBusinessRole("shop", "ADMIN,CLERK"), forbidden},
		{"no role asked for", shopAdmin.RequireBusinessRole("shop"), forbidden},
		{"an empty role asked for", shopAdmin.RequireBusinessRole("shop", ""), forbidden},
		{"an empty role beside", shopAdmin.RequireBusinessRole("shop", "ADMIN", ""), forbidden},
		{"role in no business", shopAdmin.RequireBusinessRole("", "ADMIN"), forbidden},
		{"business role of a tenant admin", tenantAdmin.RequireBusinessRole("shop", "TENANT_ADMIN"), forbidden},
		{"business role of no business", tenantAdmin.RequireBusinessRole("", "TENANT_ADMIN"), forbidden},
		{"nobody's business role", nobody.RequireBusinessRole("shop", "ADMIN"), forbidden},

		{"tenant role", tenantAdmin.RequireTenantRole("acme", "TENANT_ADMIN"), ok},
		{"one of several tenant roles", tenantAdmin.RequireTenantRole("acme", "SUPER_ADMIN", "TENANT_ADMIN"), ok},
		{"role in another tenant", tenantAdmin.RequireTenantRole("other", "TENANT_ADMIN"), forbidden},
		{"another tenant role", tenantAdmin.RequireTenantRole("acme", "SUPER_ADMIN"), forbidden},
		{"no tenant role asked for", tenantAdmin.RequireTenantRole("acme"), forbidden},
		{"an empty tenant role asked for", tenantAdmin.RequireTenantRole("acme", ""), forbidden},
		{"an empty tenant role held", emptyRole.RequireTenantRole("acme", ""), forbidden},
		{"role in no tenant", tenantAdmin.RequireTenantRole("", "TENANT_ADMIN"), forbidden},
		{"a business' role, for the tenant", pretender.RequireTenantRole("acme", "TENANT_ADMIN"), forbidden},
		{"the same, for the business", pretender.RequireBusinessRole("shop", "TENANT_ADMIN"), ok},
		{"a business' role without auth type", forgetful.RequireTenantRole("acme", "TENANT_ADMIN"), forbidden},
		{"a business' role without business", homeless.RequireTenantRole("acme", "TENANT_ADMIN"), forbidden},
		{"a user without roles", user.RequireTenantRole("acme", "TENANT_ADMIN"), forbidden},
		{"nobody's tenant role", nobody.RequireTenantRole("acme", "TENANT_ADMIN"), forbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == nil {
				require.NoError(t, c.got)
				return
			}
			require.ErrorIs(t, c.got, c.want)
			assert.Equal(t, "forbidden", persauth.Code(c.got))
		})
	}
}
