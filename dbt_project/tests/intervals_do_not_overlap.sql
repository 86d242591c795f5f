-- One row per stretch of time that begins before the one before it, of the same entity, has ended.
{%- set entities = {
    'int_membership_intervals': 'account_id, user_id',
    'int_account_states': 'account_id',
    'int_step_completions': 'step_row, account_id, user_id',
    'int_step_applicability': 'basis, step_row, account_id',
} %}
with

{% for model, entity in entities.items() %}
{{ model }} as (

    select
        '{{ model }}' as model_name,
        valid_from,
        lag(valid_to) over (partition by {{ entity }} order by valid_from, valid_to) as previous_to
    from {{ ref(model) }}

),
{% endfor %}
intervals as (

    {% for model in entities %}
    select * from {{ model }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

overlapping as (

    select * from intervals where valid_from <= previous_to

)

select * from overlapping
