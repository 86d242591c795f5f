{# A billing system's word for a status in accountpulse's own words; other words stay as they are, in lower case. #}
{% macro account_status(word) -%}
    case lower({{ word }})
        when 'active' then 'paid'
        when 'trialing' then 'trial'
        when 'cancelled' then 'canceled'
        when 'churned' then 'canceled'
        else lower({{ word }})
    end
{%- endmacro %}
